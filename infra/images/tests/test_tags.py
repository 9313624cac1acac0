"""What images are called: by a commit, if that is what they are built of."""

import subprocess

import build
import pytest


@pytest.fixture
def clone(tmp_path):
    def git(*words):
        told = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        return subprocess.run(["git", *told, "-C", tmp_path, *words], check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    (tmp_path / "code.py").write_text("a")
    git("add", ".")
    git("commit", "--quiet", "--message", "one")
    return tmp_path, git("rev-parse", "HEAD").strip()


def test_a_clean_clone_is_its_commit(clone):
    root, commit = clone
    found = build.tree(root)
    assert (found.tag(None, "0.0.0"), found.revision) == (f"sha-{commit[:12]}", commit)
    assert found.tag("v1.2.3", "v1.2.3") == "v1.2.3"


@pytest.mark.parametrize("name", ["code.py", "new.py"])
def test_what_is_not_committed_is_in_the_tag_and_in_the_label(clone, name):
    root, commit = clone
    (root / name).write_text("b")
    found = build.tree(root)
    assert found.changed == name
    assert (found.tag(None, "0.0.0"), found.revision) == (f"sha-{commit[:12]}-dirty", f"{commit}-dirty")
    assert found.tag("mine", "0.0.0") == "mine"


@pytest.mark.parametrize(("tag", "version"), [("v1.2.3", "0.0.0"), (None, "v1.2.3"), ("1.2.3-rc1", "0.0.0")])
def test_no_release_is_built_of_what_is_not_committed(clone, tag, version):
    root, _ = clone
    (root / "code.py").write_text("b")
    with pytest.raises(build.BuildError, match=r"1\.2\.3.* cannot be built with code\.py not committed: commit it"):
        build.tree(root).tag(tag, version)


def test_nor_does_it_take_the_tag_of_its_commit(clone):
    root, commit = clone
    (root / "code.py").write_text("b")
    with pytest.raises(build.BuildError, match="cannot be built with"):
        build.tree(root).tag(f"sha-{commit[:12]}", "0.0.0")


def test_outside_a_clone_a_tag_has_to_be_named(tmp_path):
    found = build.tree(tmp_path)
    assert found.tag("mine", "0.0.0") == "mine"
    with pytest.raises(build.BuildError, match="name the tag with --tag"):
        found.tag(None, "0.0.0")
