"""What the VM cannot do is refused when it is built, with a reason; and the linker's smaller parts."""

import os
import subprocess

import pytest

pytestmark = pytest.mark.timeout(900)
REFUSED = {
    "float": "__muldf3",
    "writable-static": "writable statics are not possible",
    "deep-frame": "stack",
}


@pytest.mark.parametrize("feature", REFUSED)
def test_a_program_that_the_vm_cannot_run_does_not_link(build, tools, feature, capfd):
    with pytest.raises(build.BuildError):
        build.compile_program(build.HERE, "probe", tools, features=feature)
    assert REFUSED[feature].lower() in capfd.readouterr().err.lower()


def test_the_probe_also_links_as_version_three(build, tools):
    code = build.compile_program(build.HERE, "probe", tools, arch="v3").read_bytes()
    assert code[:4] == b"\x7fELF"
    assert code[48:52] == b"\3\0\0\0"


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("SBPF_ARCH", "v9", "sbpf-link: SBPF_ARCH is 'v9': v0 or v3"),
        (
            "LLVM",
            "/nowhere",
            "sbpf-link: /nowhere/bin/llvm-link is missing: install llvm-22-dev, or set LLVM to another",
        ),
    ],
)
def test_the_linker_names_a_setting_it_cannot_work_with(build, tmp_path, setting, value, said):
    done = subprocess.run(
        [build.HERE / "toolchain" / "sbpf-link", tmp_path / "none.o"],
        env={**os.environ, setting: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stderr.strip() == said
