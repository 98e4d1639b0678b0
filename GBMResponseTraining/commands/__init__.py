"""The commands of `gbmresponse-train`, one file each: `add_parser` declares its options, `run` does it."""
