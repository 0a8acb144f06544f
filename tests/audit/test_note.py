"""Signed notes: those of the specification and of Go verify, ours verify elsewhere, no others."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from delegation.audit.checkpoint import Checkpoint
from delegation.audit.keys import parse_keys, write_new
from delegation.audit.note import NotSigned, SignerKey, VerifierKey, opened

# https://c2sp.org/signed-note, "Verifier keys".
FOO_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
FOO_NOTE = """\
This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1\
Yu72IneyaQM=
"""

# https://c2sp.org/signed-note, its first example: a text with an empty line. Its key is not there.
QUASIMODO = """\
Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMc\
Xxj99ihAQwaqP3ZekRwNtIc=
"""

# golang.org/x/mod/sumdb/note, its package documentation.
NEUMANN_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
NEUMANN_TEXT = """\
If you think cryptography is the answer to your problem,
then you don't know what your problem is.
"""
NEUMANN_SIGNATURE = """\
— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6R\
yyBwJnAM=
"""
NEUMANN_NOTE = f"{NEUMANN_TEXT}\n{NEUMANN_SIGNATURE}"

FOO, NEUMANN = VerifierKey.parse(FOO_KEY), VerifierKey.parse(NEUMANN_KEY)
SUMDB = json.loads(Path(__file__).with_name("sumdb_note.json").read_text("utf-8"))


def test_the_example_of_the_specification():
    """C2SP's own note verifies with C2SP's own key."""
    assert opened(FOO_NOTE, [FOO]) == "This is an example message.\n"


def test_the_example_of_go():
    """Go's note verifies, and its private key makes the very same one."""
    key = SignerKey.parse(NEUMANN_SECRET)

    assert opened(NEUMANN_NOTE, [NEUMANN]) == NEUMANN_TEXT
    assert key.sign(NEUMANN_TEXT) == NEUMANN_NOTE
    assert str(key.verifier) == NEUMANN_KEY
    assert key.kept() == NEUMANN_SECRET
    assert "AYEK" not in repr(key)


def test_a_text_may_have_empty_lines():
    """The signatures begin after the last one."""
    key = SignerKey.new("quasimodo.example/salvatore")
    text = QUASIMODO.rpartition("\n\n")[0] + "\n"

    assert opened(key.sign(text), [key.verifier]) == text
    with pytest.raises(NotSigned, match="none of the keys given"):
        opened(QUASIMODO, [key.verifier])


def test_gos_library_opens_our_checkpoints():
    """What golang.org/x/mod/sumdb/note accepted and refused of ours, we accept and refuse."""
    key = VerifierKey.parse(SUMDB["key"])

    text = opened(SUMDB["accepted"], [key])

    assert text == SUMDB["text"]
    assert Checkpoint.parse(text).text == text
    for refused in SUMDB["refused"].values():
        assert refused["because"].startswith("open: ")
        with pytest.raises(NotSigned):
            opened(refused["note"], [key])


def test_openssl_verifies_our_signatures(tmp_path):
    """The signature is Ed25519 over the text, and code that is not ours says so."""
    openssl = shutil.which("openssl")
    if openssl is None:  # pragma: no cover, where there is none
        pytest.skip("openssl is not here")
    key = SignerKey.new("sts.example.com/audit")
    note = key.sign("a\nb\n")
    signature = base64.b64decode(note.split()[-1])[4:]
    (tmp_path / "signature").write_bytes(signature)
    public = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key").write_bytes(public)

    def verifies(text):
        (tmp_path / "text").write_bytes(text)
        what = ["-pubin", "-inkey", "key", "-rawin", "-in", "text", "-sigfile", "signature"]
        command = [openssl, "pkeyutl", "-verify", *what]
        return subprocess.run(command, cwd=tmp_path, check=False).returncode == 0  # noqa: S603

    assert verifies(b"a\nb\n")
    assert not verifies(b"a\nB\n")


def test_other_signatures_are_passed_over():
    """A witness may sign below; a key of that name but another id is another key."""
    other = SignerKey.new("PeterNeumann")
    witness = SignerKey.new("witness.example/w")
    both = NEUMANN_NOTE + witness.sign(NEUMANN_TEXT).rpartition("\n\n")[2]

    assert opened(both, [NEUMANN]) == NEUMANN_TEXT
    assert opened(both, [witness.verifier]) == NEUMANN_TEXT
    with pytest.raises(NotSigned, match="none of the keys given"):
        opened(NEUMANN_NOTE, [other.verifier])
    with pytest.raises(NotSigned, match="none of the keys given"):
        opened(NEUMANN_NOTE, [])


def test_sixteen_signatures_and_more():
    """At least sixteen are taken; more than a hundred are not."""
    lines = [
        SignerKey.new(f"w{number}").sign(NEUMANN_TEXT).splitlines()[-1] for number in range(16)
    ]
    many = NEUMANN_NOTE + "".join(f"{line}\n" for line in lines)

    assert opened(many, [NEUMANN]) == NEUMANN_TEXT
    with pytest.raises(NotSigned, match="no signed note"):
        opened(NEUMANN_NOTE + f"{lines[0]}\n" * 100, [NEUMANN])


def test_a_known_key_that_signed_something_else():
    """One false signature of a known key refuses all."""
    key = SignerKey.new("PeterNeumann2")
    both = NEUMANN_NOTE + key.sign("something else\n").rpartition("\n\n")[2]

    with pytest.raises(NotSigned, match="signature of PeterNeumann2 is wrong"):
        opened(both, [NEUMANN, key.verifier])


MALFORMED = {
    "empty": "",
    "no signature": f"{NEUMANN_TEXT}\n",
    "no blank line": NEUMANN_TEXT + NEUMANN_SIGNATURE,
    "cut off": NEUMANN_NOTE[:-1],
    "something below": NEUMANN_NOTE + "x\n",
    "an empty line below": NEUMANN_NOTE + "\n",
    "a hyphen": NEUMANN_NOTE.replace("—", "-"),
    "a tab": NEUMANN_NOTE.replace("problem,", "problem,\t"),
    "carriage returns": NEUMANN_NOTE.replace("\n", "\r\n"),
    "no name": NEUMANN_NOTE.replace("— PeterNeumann ", "—  "),
    "a plus in the name": NEUMANN_NOTE.replace("— Peter", "— Peter+"),
    "other base64": NEUMANN_NOTE.replace("M=\n", "N=\n"),
    "no base64": NEUMANN_NOTE.replace("RyyB", "R-yB"),
    "too short": f"{NEUMANN_TEXT}\n— PeterNeumann x08gow==\n",
    "too long": "x" * 1_000_000 + f"\n{NEUMANN_NOTE}",
    "another text": NEUMANN_NOTE.replace("cryptography", "Cryptography"),
}


@pytest.mark.parametrize("note", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_signed_note(note):
    """It is refused before anybody could believe it."""
    with pytest.raises(NotSigned):
        opened(note, [NEUMANN])


def test_control_characters_cannot_be_signed_away():
    """A note has none but line breaks, whoever signed it."""
    key = SignerKey.new("sts.example.com/audit")

    for character in "\t\r\0\x1b":
        with pytest.raises(NotSigned, match="no signed note"):
            opened(key.sign(f"a{character}b\n"), [key.verifier])


@given(position=st.integers(0, len(NEUMANN_NOTE) - 1), character=st.characters(codec="utf-8"))
def test_no_character_can_be_another(position, character):
    """Wherever one is changed, the note is refused, or signed by nobody we know."""
    changed = NEUMANN_NOTE[:position] + character + NEUMANN_NOTE[position + 1 :]
    if changed == NEUMANN_NOTE:
        return
    with pytest.raises(NotSigned):
        opened(changed, [NEUMANN])


@pytest.mark.parametrize(
    "key",
    [
        "",
        "PeterNeumann",
        NEUMANN_KEY.replace("c74f20a3", "c74f20a4"),
        NEUMANN_KEY.replace("c74f20a3", "C74F20A3"),
        NEUMANN_KEY.replace("Peter", "Pet er"),
        NEUMANN_KEY.replace("ARpc", "AR-c"),
        NEUMANN_KEY[:-4],
        NEUMANN_KEY.replace("+ARpc", "+Ahpc"),
        NEUMANN_KEY.removeprefix("PeterNeumann"),
        NEUMANN_SECRET,
    ],
)
def test_what_is_no_verifier_key(key):
    """Name, hash and key must fit each other."""
    with pytest.raises(ValueError, match=r"key|base64"):
        VerifierKey.parse(key)


@pytest.mark.parametrize(
    "secret",
    [
        NEUMANN_KEY,
        NEUMANN_SECRET.replace("c74f20a3", "c74f20a4"),
        NEUMANN_SECRET.replace("+AYEK", "+AoEK"),
        NEUMANN_SECRET[:-4],
    ],
)
def test_what_is_no_private_key(secret):
    """Likewise; and nothing of it is said."""
    with pytest.raises(ValueError, match=r"key|begin") as caught:
        SignerKey.parse(secret)

    assert "FGyNhP" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "two words", "a+b", "line\nbreak", "\N{NO-BREAK SPACE}"])
def test_names_that_cannot_stand_in_a_note(name):
    """A key's name has neither blanks nor plus signs."""
    with pytest.raises(ValueError, match="name"):
        SignerKey.new(name)


def test_a_key_file(tmp_path):
    """It is its owner's alone, is never replaced, and takes former keys below it."""
    key, former = SignerKey.new("sts.example.com/audit"), SignerKey.new("sts.example.com/audit")
    path = tmp_path / "audit.key"

    write_new(path, key)

    assert path.stat().st_mode & 0o077 == 0
    assert parse_keys(path.read_bytes())[0].verifier == key.verifier
    with pytest.raises(FileExistsError):
        write_new(path, former)
    both = path.read_bytes() + f"{former.verifier}\n".encode()
    assert parse_keys(both)[1] == [former.verifier]


@pytest.mark.parametrize(
    "document",
    [b"", b"{}", b"\xff", NEUMANN_KEY.encode(), f"{NEUMANN_SECRET}\n{NEUMANN_SECRET}".encode()],
)
def test_what_is_no_key_file(document):
    """Nothing of it is said."""
    with pytest.raises(ValueError, match="no file of `delegation audit new-key`"):
        parse_keys(document)


def test_keys_of_two_trails():
    """A trail has one name for ever."""
    with pytest.raises(ValueError, match="not of one trail"):
        parse_keys(f"{NEUMANN_SECRET}\n{FOO_KEY}".encode())
