"""Double of the module SampleData: keeps what is registered, checked as in Slicer; loads local files only."""

import pathlib
import sys
import types
import urllib.parse
import urllib.request

import slicer

FIELDS = ("uris", "fileNames", "nodeNames", "loadFiles", "loadFileTypes", "checksums")


class SampleDataSource:
    """One registered source; all lists have one length (Modules/Scripted/SampleData/SampleData.py)."""

    def __init__(
        self,
        sampleName=None,
        sampleDescription=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        checksums=None,
        loadFiles=None,
        customDownloader=None,
        thumbnailFileName=None,
        loadFileTypes=None,
        loadFileProperties=None,
    ):
        self.sampleName, self.sampleDescription = sampleName, sampleDescription or sampleName
        self.customDownloader, self.thumbnailFileName = customDownloader, thumbnailFileName
        self.loadFileProperties = loadFileProperties or {}
        values = dict(zip(FIELDS, (uris, fileNames, nodeNames, loadFiles, loadFileTypes, checksums), strict=True))
        if isinstance(uris, str):
            values = {name: [value] for name, value in values.items()}
        else:
            if isinstance(loadFileTypes, str):
                values["loadFileTypes"] = [loadFileTypes] * len(uris)
            values = {name: [None] * len(uris) if value is None else value for name, value in values.items()}
        if len({len(value) for value in values.values()}) != 1:
            raise ValueError(f"All fields of sample data source must have the same length: {values}")
        vars(self).update(values)

    def __eq__(self, other):
        return vars(self) == vars(other)

    __hash__ = None


class SampleDataLogic:
    """Registration, and loading of sources whose addresses are local files."""

    @staticmethod
    def registerCustomSampleDataCategory(category, title):
        if not hasattr(slicer.modules, "sampleDataSourceCategories"):
            slicer.modules.sampleDataSourceCategories = {}
        slicer.modules.sampleDataSourceCategories.setdefault(category, {})["title"] = title

    @staticmethod
    def registerCustomSampleDataSource(
        category="Custom",
        sampleName=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        customDownloader=None,
        thumbnailFileName=None,
        loadFileTypes=None,
        loadFiles=None,
        loadFileProperties={},  # noqa: B006  as in Slicer
        checksums=None,
        loadFileType=None,
    ):
        source = SampleDataSource(
            sampleName=sampleName,
            uris=uris,
            fileNames=fileNames,
            nodeNames=nodeNames,
            thumbnailFileName=thumbnailFileName,
            loadFileTypes=loadFileTypes or loadFileType,
            loadFiles=loadFiles,
            loadFileProperties=loadFileProperties,
            checksums=checksums,
            customDownloader=customDownloader,
        )
        if not hasattr(slicer.modules, "sampleDataSources"):
            slicer.modules.sampleDataSources = {}
        known = slicer.modules.sampleDataSources.setdefault(category, [])
        if source not in known:
            known.append(source)

    def sourceForSampleName(self, sampleName):
        sources = (source for known in slicer.modules.sampleDataSources.values() for source in known)
        return next((source for source in sources if source.sampleName == sampleName), None)

    def downloadSamples(self, sampleName) -> list:
        source = self.sourceForSampleName(sampleName)
        return self.downloadFromSource(source) if source is not None else []

    def downloadSample(self, sampleName):
        return self.downloadSamples(sampleName)[0]

    def downloadFromSource(self, source, maximumAttemptsCount=3) -> list:
        """Load the files of a source, from file: addresses only, after checking their checksums."""
        if source.customDownloader is not None:
            return source.customDownloader(source)
        nodes = []
        for uri, nodeName, fileType, checksum in zip(
            source.uris, source.nodeNames, source.loadFileTypes, source.checksums, strict=True
        ):
            if urllib.parse.urlsplit(uri).scheme != "file":
                raise ValueError(f"the host loads local files only, not {uri}")
            path = pathlib.Path(urllib.request.url2pathname(urllib.parse.urlsplit(uri).path))
            algorithm, digest = slicer.util.extractAlgoAndDigest(checksum)
            if algorithm and slicer.util.computeChecksum(algorithm, str(path)) != digest:
                raise ValueError(f"the checksum of {path} is not {digest}")
            properties = {**source.loadFileProperties, **({"name": nodeName} if nodeName else {})}
            nodes.append(slicer.util.loadNodeFromFile(str(path), fileType or "VolumeFile", properties))
        return nodes


def install() -> None:
    """Put SampleData into sys.modules."""
    module = sys.modules["SampleData"] = types.ModuleType("SampleData")
    module.SampleDataSource, module.SampleDataLogic = SampleDataSource, SampleDataLogic
