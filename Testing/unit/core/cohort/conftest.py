"""What the tests of cohorts have in common."""

import pytest


@pytest.fixture
def table(tmp_path):
    """Function that writes a case table of text files; those of `bad` cases fail, see `FakeRunner`."""

    def write(count, bad=()):
        lines = ["id,image,gtv"]
        for number in range(count):
            image = tmp_path / f"{'bad' if number in bad else 'good'}{number}.txt"
            image.write_text("image", "utf-8")
            lines.append(f"case{number},{image},{image}")
        (tmp_path / "cases.csv").write_text("\n".join(lines) + "\n", "utf-8")
        return tmp_path / "cases.csv"

    return write
