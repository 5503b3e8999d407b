"""What is doubtful in an archive is refused by name, and the rest of it is read."""

import gzip

import pytest
import torch
from safetensors.torch import save as save_safetensors

from outgrow.compare.readers.archives import open_archive
from outgrow.compare.readers.limits import Limits
from outgrow.errors import InputError
from tests.compare.readers.archive_makers import (
    KINDS,
    ZipMember,
    files,
    pax_header,
    raw_tar,
    raw_zip,
    tar_member,
    tarred,
    tensor_file,
    write,
    zipped,
)
from tests.compare.readers.opened_archives import names, opened, reasons

pytestmark = pytest.mark.usefixtures("empty_temporary")

GOOD = tensor_file(1)


def test_a_dump_that_holds_a_pickle_is_no_torch_file(tmp_path):
    archive = opened(tmp_path, "x.zip", zipped({"run/data.pkl": b"", **files(2)}))
    assert names(archive) == list(files(2))
    assert set(reasons(archive)) == {"run/data.pkl"}


def test_hidden_files_and_clutter_are_not_spoken_of(tmp_path):
    content = {
        **files(1),
        "__MACOSX/run/._0.safetensors": b"x",
        "run/.DS_Store": b"x",
        "run/._1.safetensors": b"x",
        ".cache/1.safetensors": GOOD,
        "run/Thumbs.db": b"x",
    }
    for kind in ("zip", "tar.gz"):
        archive = opened(tmp_path, f"x.{kind}", KINDS[kind][1](content))
        assert (names(archive), archive.refused) == (list(files(1)), ())
        archive.close()


@pytest.mark.parametrize("kind", ["zip", "zip-deflated", "tar", "tar.gz"])
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../evil.safetensors", "leads out"),
        ("run/../../evil.safetensors", "leads out"),
        ("/etc/evil.safetensors", "absolute"),
        ("C:/evil.safetensors", "absolute"),
        ("run\\evil.safetensors", "backslash"),
        ("\x1b[2Jevil.safetensors", "control"),
        ("evil\u202egpj.safetensors", "control"),
        ("evil\nline.safetensors", "control"),
        ("e" * 2000 + ".safetensors", "characters"),
        ("inner.zip", "within the archive"),
        ("inner.tar.gz", "within the archive"),
        ("inner.npy.gz", "within the archive"),
        ("readme.md", "no reader"),
        ("none", "no reader"),
    ],
)
def test_entries_of_bad_names_are_refused_and_the_rest_is_read(tmp_path, kind, name, why):
    archive = opened(tmp_path, f"x.{kind}", KINDS[kind][1]({name: GOOD, **files(2)}))
    assert names(archive) == list(files(2))
    ((shown, reason),) = reasons(archive).items()
    assert why in reason
    assert shown.isprintable()
    assert len(shown) < 300
    archive.close()


def test_nul_in_a_name_does_not_cut_it(tmp_path):
    archive = opened(tmp_path, "x.zip", raw_zip(ZipMember(b"a.safetensors\0.exe", GOOD)))
    assert archive.contents == ()
    assert "control" in archive.refused[0].reason
    archive = opened(
        tmp_path,
        "x.tar",
        raw_tar(pax_header({"path": "a.safetensors\0.x"}), tar_member(b"a.safetensors", GOOD)),
    )
    assert archive.contents == ()
    assert "control" in archive.refused[0].reason


@pytest.mark.parametrize("kind", ["zip", "zip-deflated", "tar", "tar.gz"])
def test_none_of_several_entries_of_one_name_is_believed(tmp_path, kind):
    other = tensor_file(9)
    if "zip" in kind:
        method = 8 if "deflated" in kind else 0
        data = raw_zip(
            *(
                ZipMember(name, body, method)
                for name, body in [
                    (b"run/a.safetensors", GOOD),
                    (b"./run//a.safetensors", other),
                    (b"b.safetensors", GOOD),
                ]
            )
        )
    else:
        data = raw_tar(tar_member(b"run/a.safetensors", GOOD), tar_member(b"./run/a.safetensors", other),
                       tar_member(b"b.safetensors", GOOD))  # fmt: skip
        if kind == "tar.gz":
            data = gzip.compress(data)
    archive = opened(tmp_path, f"x.{kind}", data)
    assert names(archive) == ["b.safetensors"]
    assert "2 entries of this name" in reasons(archive)["run/a.safetensors"]
    archive.close()


def test_limits_are_kept(tmp_path):
    for kind in ("zip", "zip-deflated", "tar", "tar.gz"):
        suffix, pack = KINDS[kind]
        path = write(tmp_path, f"{kind}{suffix}", pack(files(4)))
        with pytest.raises(InputError, match="entries"):
            open_archive(path, Limits(max_entries=3))
        open_archive(path, Limits(max_entries=5)).close()
    for kind in ("zip", "zip-deflated", "tar.gz"):
        suffix, pack = KINDS[kind]
        path = write(tmp_path, f"{kind}{suffix}", pack(files(4)))
        with pytest.raises(InputError, match="max_bytes"):
            open_archive(path, Limits(max_bytes=100))
    archive = opened(tmp_path, "x.tar", tarred(files(2)), max_bytes=50)
    assert archive.contents == ()
    with pytest.raises(InputError, match="max_header_bytes"):
        opened(tmp_path, "x.zip", zipped(files(2)), max_header_bytes=50)


@pytest.mark.parametrize("kind", ["zip-deflated", "tar.gz", "tar.bz2", "tar.xz"])
def test_what_shrinks_a_thousandfold_is_refused(tmp_path, kind):
    bomb = bytes(70 * 2**20)
    path = write(tmp_path, "x", KINDS[kind][1]({"run/a.safetensors": bomb, **files(1)}))
    if kind == "zip-deflated":
        archive = open_archive(path, Limits())
        assert names(archive) == list(files(1))
        assert "max_ratio" in reasons(archive)["run/a.safetensors"]
        archive.close()
    else:
        with pytest.raises(InputError, match="max_ratio"):
            open_archive(path, Limits())


def test_a_mask_of_zeros_is_no_bomb(tmp_path):
    mask = save_safetensors({"mask": torch.zeros(5000, 5000, dtype=torch.bool)})
    for kind in ("zip-deflated", "tar.gz"):
        archive = opened(tmp_path, "x", KINDS[kind][1]({"run/mask.safetensors": mask}))
        assert names(archive) == ["run/mask.safetensors"]
        archive.close()
