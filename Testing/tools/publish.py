"""Write the form in which the extension is published: `publish.py REPOSITORY [--version VERSION]`.

The Extensions Index counts a full clone, and the history of the working repository holds weights that nobody uses any
more. So the published branch `main` has one commit per release, whose older ones lack the large files that the newest
does not have. It is written into REPOSITORY, a local bare repository that is made when it is not there, and
can be pushed from there: docs/releasing.md. The working repository stays as it is.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
BRANCH = "main"
_INCOMING = "refs/heads/incoming"
_LARGE = 500_000
"""Bytes from which on a file of an older release is left out, unless the newest has it too."""


def git(*words: str, cwd: Path, index: Path | None = None, **environment: str) -> str:
    """Run git and return what it prints.

    :raises SystemExit: it fails.
    """
    variables = os.environ | environment | ({"GIT_INDEX_FILE": str(index)} if index else {})
    done = subprocess.run(["git", *words], cwd=cwd, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"git {' '.join(words[:3])} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def publish(source: Path, repository: Path, version: str, revision: str = "HEAD") -> str:
    """Add a release to the published branch; returns its commit.

    :param source: the working repository.
    :param repository: bare repository of the published form.
    :param revision: what is released.
    :raises SystemExit: the version was published already, or git fails.
    """
    if not (repository / "HEAD").is_file():
        git("init", "--quiet", "--bare", f"--initial-branch={BRANCH}", str(repository), cwd=source)
    tree = git("rev-parse", f"{revision}^{{tree}}", cwd=source)
    _send(source, repository, tree, revision)
    message = f"GBMResponse {version}"
    history = _history(repository)
    if message in [subject for _, subject in history]:
        raise SystemExit(f"{message} was published already.")
    kept = set(_files(repository, tree).values())
    parent: Sequence[str] = ()
    for commit, subject in history:
        parent = ("-p", _commit(repository, _thinned(repository, commit, kept), subject, parent, commit))
    newest = _commit(repository, tree, message, parent, _INCOMING)
    git("update-ref", f"refs/heads/{BRANCH}", newest, cwd=repository)
    git("update-ref", "-d", _INCOMING, cwd=repository)
    git("reflog", "expire", "--expire=now", "--all", cwd=repository)
    git("gc", "--quiet", "--prune=now", cwd=repository)
    return newest


def _send(source: Path, repository: Path, tree: str, revision: str) -> None:
    """Bring a tree into the repository, below a commit without parents that the source does not keep."""
    objects = source / git("rev-parse", "--git-path", "objects", cwd=source)
    with TemporaryDirectory() as folder:
        own = {"GIT_OBJECT_DIRECTORY": folder, "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects.resolve())}
        commit = _commit(source, tree, "Incoming", (), revision, **own)
        git("push", "--quiet", "--force", str(repository), f"{commit}:{_INCOMING}", cwd=source, **own)


def _history(repository: Path) -> list[tuple[str, str]]:
    """Commits of the published branch with their subjects, the oldest first."""
    if not git("for-each-ref", f"refs/heads/{BRANCH}", cwd=repository):
        return []
    lines = git("log", "--reverse", "--format=%H %s", BRANCH, cwd=repository).splitlines()
    return [tuple(line.split(" ", 1)) for line in lines]


def _files(repository: Path, tree: str) -> dict[str, tuple[str, int]]:
    """Path -> blob and size of a tree's files."""
    entries = git("ls-tree", "-r", "-l", "-z", tree, cwd=repository).split("\0")
    found = {}
    for entry in filter(None, entries):
        facts, path = entry.split("\t", 1)
        _, kind, blob, size = facts.split()
        if kind == "blob":
            found[path] = blob, int(size)
    return found


def _thinned(repository: Path, commit: str, kept: set[tuple[str, int]]) -> str:
    """The tree of a commit without large files that are not among the kept ones."""
    gone = [path for path, file in _files(repository, commit).items() if file[1] >= _LARGE and file not in kept]
    with TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        git("read-tree", commit, cwd=repository, index=index)
        for path in gone:
            places = {"GIT_DIR": str(repository), "GIT_WORK_TREE": folder}
            git("update-index", "--force-remove", path, cwd=repository, index=index, **places)
        return git("write-tree", cwd=repository, index=index)


def _commit(repository: Path, tree: str, message: str, parent: Sequence[str], like: str, **own: str) -> str:
    """A commit with the author and the date of another one; returns it."""
    name, mail, date = git("log", "-1", "--format=%an%n%ae%n%aI", like, cwd=repository).splitlines()
    who = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", name), ("EMAIL", mail), ("DATE", date))
    }
    return git("commit-tree", tree, *parent, "-m", message, cwd=repository, **who, **own)


def main() -> int:
    """Publish the current commit and check the result as the Index does; returns the exit code."""
    sys.path.insert(0, str(Path(__file__).parent))
    from index_check import main as check

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repository", type=Path, help="bare repository of the published form")
    parser.add_argument("--version", help="default: that of the package")
    arguments = parser.parse_args()
    if git("status", "--porcelain", "--untracked-files=no", cwd=ROOT):
        raise SystemExit("There are changes that are not committed.")
    sys.path.insert(0, str(ROOT / "GBMResponse"))
    import GBMResponseCore

    commit = publish(ROOT, arguments.repository.resolve(), arguments.version or GBMResponseCore.__version__)
    print(f"Published {commit[:10]} on {BRANCH} of {arguments.repository}")
    with TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        url = arguments.repository.resolve().as_uri()
        git("clone", "--quiet", url, str(clone), cwd=ROOT)
        return check(clone)


if __name__ == "__main__":
    sys.exit(main())
