"""Turns the output of Ansible, ssh, pip or mnistkit on a board into a problem and a remedy. Pure."""

import re
from collections.abc import Mapping

MNISTKIT_ERROR = re.compile(r"^mnistkit: (.+); (.+)$", re.MULTILINE)  # as cli.main and the playbook print errors
CREDENTIALS = re.compile(r"(\w+://)[^/\s@]+@")
NOISE = re.compile(r"^(Traceback|\s|@+$|Warning: Permanently|Task failed:?$|\[notice\])|^$")
MAX_LINE_CHARACTERS = 300  # of a line of output that becomes a problem

# Pattern, problem, remedy; the first match counts. For boards that can't be reached:
UNREACHABLE = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|host key for .* has changed",
        "host key has changed",
        "if the board was reinstalled, run 'ssh-keygen -R HOST', otherwise check which machine responds",
    ),
    (
        r"Host key verification failed|No .* host key is known",
        "host key is unknown",
        "log in once with ssh, and compare the key with the board's",
    ),
    (
        r"Permission denied \([\w,-]+\)|Too many authentication failures|Invalid/incorrect username/password",
        "login refused: permission denied",
        "check the user, and copy your key to the board with 'ssh-copy-id'",
    ),
    (r"Could not resolve hostname", "host name not found", "check the name, and that the board is in this network"),
    (r"Connection refused", "connection refused", "start the SSH server on the board, or check the port"),
    (
        r"during banner|Connection timed out|Operation timed out|No route to host|Host is down|is unreachable",
        "no response",
        "check that the board is switched on and in this network",
    ),
)
# For tasks that failed on a board; {} stands for the group of the pattern.
FAILED = (
    (
        r"No space left on device|Disk quota exceeded|not enough (?:disk )?space",
        "disk is full",
        "free some space on the board, or set mnistkit_folder in an inventory to a larger disk",
    ),
    (r"Read-only file system", "disk is read-only", "check 'dmesg' on the board: a worn-out SD card becomes read-only"),
    (
        r"ensurepip is not|No module named '?(?:venv|ensurepip)",
        "Python can't create a virtual environment",
        "install python3-venv on the board",
    ),
    (
        r"Timed out after|Timeout exceeded|timed out\. ",
        "timed out",
        "check what the board is doing, or set mnistkit_timeout in an inventory",
    ),
    (
        r"Temporary failure in name resolution|NewConnectionError|Max retries exceeded",
        "pip can't reach its package index",
        "install from wheels with --wheelhouse",
    ),
    (
        r"(?:No matching distribution found for|satisfies the requirement) ([\w.-]+)",
        "no wheel of {} found for the board's Python and processor",
        "add one to the wheelhouse, or set mnistkit_python in an inventory to another Python",
    ),
    (
        r"bin/sh: .*python3?: (?:not found|No such file)|No python interpreters found|interpreter .* not found",
        "no Python found",
        "install python3 on the board, or set ansible_python_interpreter in an inventory",
    ),
    (
        r"Failed to create temporary directory|Permission denied|Operation not permitted",
        "no permission to write",
        "check the owner of the folder on the board, or set mnistkit_folder in an inventory",
    ),
)


def explain(task: str, output: Mapping[str, str], *, reached: bool, started: bool) -> tuple[str, str]:
    """The problem and the remedy for a failed task.

    `reached` is whether the board was reached for this task, `started` whether it had completed a task before.
    """
    text = "\n".join(output.values())
    if errors := MNISTKIT_ERROR.findall(text):
        problem, remedy = errors[-1]
        return redact_credentials(problem), redact_credentials(remedy)
    if started and not reached:
        return f"connection lost during task '{task}'", "check the board, and run again with --only @failed"
    for pattern, problem, remedy in FAILED if reached else UNREACHABLE:
        if match := re.search(pattern, text, re.IGNORECASE):
            return problem.format(*match.groups()), remedy
    return (
        f"task '{task}' failed: {redact_credentials(_last_line(output))}",
        "try 'ssh HOST', and run again with --only @failed",
    )


def redact_credentials(text: str) -> str:
    """Replace the credentials in URLs, such as that of a package index, with ***."""
    return CREDENTIALS.sub(r"\1***@", text)


def _last_line(output: Mapping[str, str]) -> str:
    """The last meaningful line of output: of a program's errors rather than Ansible's own message."""
    for key in ("stderr", "module_stderr", "msg"):
        lines = [line.strip() for line in output.get(key, "").splitlines() if not NOISE.match(line)]
        if lines:
            return lines[-1][:MAX_LINE_CHARACTERS]
    return "no error message"
