"""The published form of the repository, and the Extensions Index's rules for it."""

import shutil
import subprocess
from pathlib import Path

import pytest
from tools.index_check import CHECKS, ENTRY, BrokenRuleError, check
from tools.publish import git, publish

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A full clone of the published form of the current commit."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and a checkout")
    folder = tmp_path_factory.mktemp("published")
    publish(ROOT, folder / "bare.git", "0.0.1")
    git("clone", "--quiet", (folder / "bare.git").as_uri(), str(folder / "clone"), cwd=folder)
    return folder / "clone"


@pytest.mark.parametrize("rule", CHECKS)
def test_the_published_form_keeps_the_rules_of_the_index(published, rule):
    result = check(published)[rule]
    assert isinstance(result, str), result


def test_it_is_the_current_commit_without_its_history(published):
    assert git("rev-parse", "HEAD^{tree}", cwd=published) == git("rev-parse", "HEAD^{tree}", cwd=ROOT)
    assert git("rev-list", "--count", "--all", cwd=published) == "1"


@pytest.fixture
def source(tmp_path):
    """A repository of three versions: weights are replaced in the third, a small file in the second."""
    folder = tmp_path / "source"
    folder.mkdir()
    git("init", "--quiet", "--initial-branch=main", ".", cwd=folder)
    for name, value in (("user.name", "Ada"), ("user.email", "ada@example.org")):
        git("config", name, value, cwd=folder)
    for number, (weights, notes) in enumerate([("a", "one"), ("a", "two"), ("b", "two")]):
        (folder / "weights.bin").write_text(weights * 600_000)
        (folder / "notes.txt").write_text(notes)
        git("add", ".", cwd=folder)
        git("commit", "--quiet", "-m", f"Work {number}", cwd=folder)
    return folder


def release(source, target, version, revision):
    publish(source, target, version, revision)
    return git("log", "--reverse", "--format=%s", "main", cwd=target).splitlines()


def test_every_release_is_one_commit(source, tmp_path):
    target = tmp_path / "target.git"
    assert release(source, target, "1.0.0", "HEAD~2") == ["GBMResponse 1.0.0"]
    assert release(source, target, "1.1.0", "HEAD~1") == ["GBMResponse 1.0.0", "GBMResponse 1.1.0"]
    assert git("show", "main~1:notes.txt", cwd=target) == "one"
    assert git("log", "-1", "--format=%an %ae", "main", cwd=target) == "Ada ada@example.org"


def test_weights_that_are_used_no_more_are_gone_and_the_rest_stays(source, tmp_path):
    target = tmp_path / "target.git"
    for version, revision in (("1.0.0", "HEAD~2"), ("1.1.0", "HEAD~1")):
        release(source, target, version, revision)
    old = git("rev-parse", "main:weights.bin", cwd=target)
    assert git("ls-tree", "--name-only", "main~1", cwd=target).split() == ["notes.txt", "weights.bin"]
    release(source, target, "2.0.0", "HEAD")
    assert git("ls-tree", "--name-only", "main~1", cwd=target).split() == ["notes.txt"]
    assert git("ls-tree", "--name-only", "main", cwd=target).split() == ["notes.txt", "weights.bin"]
    gone = subprocess.run(["git", "cat-file", "-e", old], cwd=target, capture_output=True, check=False)
    assert gone.returncode


def test_a_version_is_published_once(source, tmp_path):
    release(source, tmp_path / "target.git", "1.0.0", "HEAD")
    with pytest.raises(SystemExit, match=r"GBMResponse 1\.0\.0 was published already"):
        publish(source, tmp_path / "target.git", "1.0.0")


def breaking(clone, file, old, new):
    path = clone / file
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))


@pytest.mark.parametrize(
    ("rule", "file", "old", "new"),
    [
        ("entry", ENTRY, b"Image Synthesis", b"Image synthesis"),
        ("entry", ENTRY, b"\n", b"\r\n"),
        ("entry", ENTRY, b'"tier": 3', b'"tier": 3, "stars": 5'),
        ("entry", ENTRY, b"/SlicerGBM", b"/GBM"),
        ("CMakeLists.txt", "CMakeLists.txt", b"project(GBMResponse)", b"project(Response)"),
        ("CMakeLists.txt", "CMakeLists.txt", b"Screenshots/result.png", b"Screenshots/none.png"),
        ("CMakeLists.txt", "CMakeLists.txt", b'EXTENSION_DEPENDS "PyTorch"', b'EXTENSION_DEPENDS "NA"'),
        ("line ends", "Makefile.txt", b"\n", b"\r\n"),
    ],
)
def test_a_broken_rule_is_found(tmp_path, rule, file, old, new):
    for name in ("CMakeLists.txt", "LICENSE.txt", ENTRY, "Resources"):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile)(
            ROOT / name, target, **({"dirs_exist_ok": True} if (ROOT / name).is_dir() else {})
        )
    (tmp_path / "Makefile.txt").write_bytes(b"all:\n")
    assert not [result for result in check(tmp_path).values() if isinstance(result, BrokenRuleError)]
    breaking(tmp_path, file, old, new)
    assert isinstance(check(tmp_path)[rule], BrokenRuleError)


def test_a_clone_that_is_too_large_is_found(tmp_path):
    with open(tmp_path / "large.bin", "wb") as file:
        file.truncate(76 * 1024**2)
    assert isinstance(check(tmp_path)["size"], BrokenRuleError)
