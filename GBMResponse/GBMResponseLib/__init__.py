"""The Slicer side of GBMResponse: collaborators injected, never torch, and of the engine only what needs no package.

Rooms import those before them: `common`, `worker`, `model`, `settings`, `inputs`, `results`, `run`, `views`,
`readerStudy`, `panel`. Follow one prediction: `PredictionPanel` (what the user sees) asks `PredictionController`, which
uses `SceneExporter` (nodes to files), `WorkerClient` over `WorkerProcess` (the engine in its own process) and
`ResultImporter` (files to nodes); `ResultViews` shows the result. What the user may set is one class from the widgets
to the request: `PredictionSettings`.
"""
