"""The Slicer side of GBMResponse: one class per file, collaborators injected, never torch.

Follow one prediction through it: `PredictionPanel` (what the user sees) asks `PredictionController`, which uses
`SceneExporter` (nodes to files), `WorkerClient` over `WorkerProcess` (the engine in its own process) and
`ResultImporter` (files to nodes); `ResultViews` shows the result.
"""
