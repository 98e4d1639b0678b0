"""What the volumes are worth in numbers: enhancement, lesions, size categories."""
