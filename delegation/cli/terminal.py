"""What came from outside, as a terminal may show it, and how much of it fits."""

import shutil
import sys


def printable(text: str) -> str:
    """*text* with every character escaped that a terminal would act upon instead of showing it.

    Control characters, line breaks and the marks that change the direction of writing are all not
    printable, by Unicode's own account.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def inert(text: str) -> str:
    """`printable`, and nothing in it that who runs a workflow takes for a command of the workflow.

    Runners look for `::` at the beginning of a line, after spaces, too, and for `##[` anywhere.
    """
    shown = printable(text).replace("##[", "##\\x5b")
    return f"./{shown}" if shown.lstrip().startswith("::") else shown


def width() -> int | None:
    """How many columns the terminal has that we write to; `None` where that is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def printable_lines(text: str) -> str:
    """The same for *text* whose line breaks are ours."""
    return "\n".join(map(printable, text.split("\n")))
