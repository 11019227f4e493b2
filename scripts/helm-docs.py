#!/usr/bin/env python3
"""Makes helm/lectern/README.md of what stands above each value in helm/lectern/values.yaml, after "# --".

    scripts/helm-docs.py            writes it
    scripts/helm-docs.py --check    fails if it is not current

Only Python's own library is needed: of YAML it reads what values.yaml has, keys by indentation with values on one
line, lists and mappings below them, and texts after "|".
"""

import pathlib
import re
import sys

CHART = pathlib.Path(__file__).resolve().parent.parent / "helm" / "lectern"
KEY = re.compile(r"^( *)([A-Za-z]\w*):(?: +(.*))?$")

HEAD = """\
# The Lectern chart

Origins and edges of [Lectern](../../README.md), a low-latency live engine for lectures and webinars. How to install it
step by step, and what each way to expose UDP costs, is in [docs/kubernetes.md](../../docs/kubernetes.md).

    helm install lectern helm/lectern --namespace lectern --create-namespace \\
      --set image.repository=registry.example.org/lectern \\
      --set edge.host=live.example.org \\
      --set origin.host=studio.example.org

Values that are not there, or are not what they must be, are refused with a message that names them.

"""


class Undocumented(Exception):
    """A value without words above it."""


def values(text):
    """Each value that is documented: its path, its default in Markdown, and its words."""
    found, path, words, default = [], [], [], None
    block = None  # the indentation of a value whose lines are passed over
    lines = text.splitlines()
    for at, line in enumerate(lines):
        indent = len(line) - len(line.lstrip(" "))
        if block is not None:
            if not line.strip() or indent > block:
                continue
            block = None
        stripped = line.strip()
        if stripped.startswith("# -- "):
            words, default = [stripped.removeprefix("# -- ")], None
        elif stripped.startswith("# @default -- "):
            default = stripped.removeprefix("# @default -- ")
        elif stripped.startswith("#"):
            if words:
                words.append(stripped.removeprefix("#").strip())
        elif match := KEY.match(line):
            depth = indent // 2
            path = path[:depth] + [match[2]]
            value = (match[3] or "").strip()
            if words:
                shown = default or (f"`{value}`" if value else "")
                found.append((".".join(path), shown, " ".join(words)))
                if value == "|" or (not value and not is_comment_below(lines, at)):
                    block = indent
            elif value:
                raise Undocumented(".".join(path))
            words, default = [], None
        elif not stripped:
            words, default = [], None
        else:
            raise SystemExit(f"values.yaml: this line is not understood: {line}")
    return found


def is_comment_below(lines, at):
    """Whether what is below a line has words of its own."""
    return at + 1 < len(lines) and lines[at + 1].strip().startswith("#")


def readme(text):
    """The whole of README.md."""
    rows, section = [HEAD.rstrip("\n")], None
    for path, default, words in values(text):
        if (top := path.split(".")[0] if "." in path else "general") != section:
            section = top
            rows += ["", f"## {section}", "", "| Value | Default | What it means |", "|---|---|---|"]
        rows.append(f"| `{path}` | {default.replace('|', chr(92) + '|')} | {words.replace('|', chr(92) + '|')} |")
    return "\n".join(rows) + "\n"


def main():
    wanted = readme((CHART / "values.yaml").read_text())
    target = CHART / "README.md"
    if "--check" not in sys.argv[1:]:
        target.write_text(wanted)
    elif not target.exists() or target.read_text() != wanted:
        sys.exit("helm/lectern/README.md is not what values.yaml says: run scripts/helm-docs.py")


if __name__ == "__main__":
    main()
