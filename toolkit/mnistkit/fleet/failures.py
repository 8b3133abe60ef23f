"""Why a board failed, and what would mend it, from what Ansible, ssh, pip or mnistkit said there. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

OWN = re.compile(r"^mnistkit: (.+); (.+)$", re.MULTILINE)  # as cli.py and the playbook put it
CREDENTIALS = re.compile(r"(\w+://)[^/\s@]+@")
NOISE = re.compile(r"^(Traceback|\s|@+$|Warning: Permanently|Task failed:?$|\[notice\])|^$")
MAX_LINE_CHARACTERS = 300  # characters of a line that is told as it is
PACKAGE = r"(?:No matching distribution found for|satisfies the requirement) ([\w.-]+)"

# What ssh says where a board can't be had; the first that fits.
UNREACHABLE = tuple(
    (re.compile(pattern, re.IGNORECASE), problem, remedy)
    for pattern, problem, remedy in (
        (
            r"REMOTE HOST IDENTIFICATION HAS CHANGED|host key for .* has changed",
            "its host key is not the one that is known of it",
            "if the board was set up anew, remove the old key with 'ssh-keygen -R HOST'; if not, find out who answers",
        ),
        (
            r"Host key verification failed|No .* host key is known",
            "its host key is not known here",
            "log in once by ssh, and compare the key with the board's own",
        ),
        (
            r"Permission denied \([\w,-]+\)|Too many authentication failures|Invalid/incorrect username/password",
            "it refuses the login",
            "check the user, and bring your key there with 'ssh-copy-id'",
        ),
        (
            r"Could not resolve hostname",
            "there is no host of that name",
            "check the name, and whether the board is in this network",
        ),
        (r"Connection refused", "it refuses connections", "start the SSH server there, or check the port"),
        (
            r"during banner|Connection timed out|Operation timed out|No route to host|Host is down|is unreachable",
            "it does not answer",
            "check that it is switched on and in this network",
        ),
    )
)
# What is said on a board; the first that fits. {} is what the parentheses hold.
FAILED = tuple(
    (re.compile(pattern, re.IGNORECASE), problem, remedy)
    for pattern, problem, remedy in (
        (
            r"No space left on device|Disk quota exceeded|not enough (?:disk )?space",
            "its disk is full",
            "free some space there, or set mnistkit_folder in an inventory to a larger disk",
        ),
        (
            r"Read-only file system",
            "its disk can't be written",
            "look there with 'dmesg': an SD card that wears out becomes read-only",
        ),
        (
            r"ensurepip is not|No module named '?(?:venv|ensurepip)",
            "its Python can make no environment",
            "install python3-venv there",
        ),
        (
            r"Timed out after|Timeout exceeded|timed out\. ",
            "it took too long",
            "look what it does, or set mnistkit_timeout",
        ),
        (
            r"Temporary failure in name resolution|NewConnectionError|Max retries exceeded",
            "pip there can't reach its package index",
            "bring it the wheels with --wheelhouse",
        ),
        (
            PACKAGE,
            "pip finds no {} for its Python and processor",
            "add such a wheel to the wheelhouse, or take another Python there by mnistkit_python",
        ),
        (
            r"bin/sh: .*python3?: (?:not found|No such file)|No python interpreters found|interpreter .* not found",
            "it has no Python",
            "install python3 there, or set ansible_python_interpreter",
        ),
        (
            r"Failed to create temporary directory|Permission denied|Operation not permitted",
            "the user who logs in may not write there",
            "check the owner of the folder, or set mnistkit_folder in an inventory",
        ),
    )
)


def explain(task: str, said: Mapping[str, str], *, reached: bool, begun: bool) -> tuple[str, str]:
    """The problem and the remedy; `reached` says whether the board answered, and `begun` whether it had before."""
    text = "\n".join(said.values())
    if own := OWN.findall(text):
        problem, remedy = own[-1]
        return redact_credentials(problem), redact_credentials(remedy)
    if begun and not reached:
        return f"the connection was lost at '{task}'", "look after the board, and run again with --only @failed"
    for pattern, problem, remedy in FAILED if reached else UNREACHABLE:
        if found := pattern.search(text):
            return problem.format(*found.groups()), remedy
    return (
        f"'{task}' failed: {redact_credentials(_telling_line(said))}",
        "try 'ssh HOST' by hand, and run again with --only @failed",
    )


def redact_credentials(text: str) -> str:
    """The text without the credentials of an address, such as that of a package index."""
    return CREDENTIALS.sub(r"\1***@", text)


def _telling_line(said: Mapping[str, str]) -> str:
    """The last line of what was said last: of a program's errors, rather than Ansible's own message."""
    for key in ("stderr", "module_stderr", "msg"):
        lines = [line.strip() for line in said.get(key, "").splitlines() if not NOISE.match(line)]
        if lines:
            return lines[-1][:MAX_LINE_CHARACTERS]
    return "it does not say why"
