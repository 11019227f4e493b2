"""The Dockerfile, where no engine is there to run it: linted, its commands those by which everybody builds, the
files that it is given enough to build from, and both images alike in all that a cluster relies on."""

import fnmatch
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from lectern import ROOT, binary

TEXT = (ROOT / "Dockerfile").read_text()
# What is read while compiling, beside crates: paths from the file that names them.
READ = re.compile(r'(?:include_str!|include_bytes!)\("([^"]+)"\)')


def stages() -> dict[str, list[tuple[str, str]]]:
    """Each stage's instructions, with lines that go on made one."""
    found: dict[str, list[tuple[str, str]]] = {}
    lines = [line for line in TEXT.splitlines() if not line.startswith("#")]
    text = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    name = ""
    for line in filter(None, text.splitlines()):
        instruction, rest = line.split(" ", 1)
        if instruction == "FROM":
            name = rest.split(" AS ")[1]
            found[name] = []
        found.setdefault(name, []).append((instruction, rest))
    return found


def commands(stage: str) -> list[str]:
    runs = [rest for instruction, rest in stages()[stage] if instruction == "RUN"]
    single = [part for run in runs for part in re.split(r"\s+&&\s+", run)]
    return [re.sub(r"^(--mount=\S+\s+)+", "", part).strip() for part in single]


def given() -> list[Path]:
    """The files of git that .dockerignore lets through: the last pattern that fits decides."""
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )

    def let_through(name: str) -> bool:
        parts = name.split("/")
        parents = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        kept = True
        for pattern in patterns:
            wanted = pattern.startswith("!")
            if any(fnmatch.fnmatchcase(parent, pattern.lstrip("!")) for parent in parents):
                kept = wanted
        return kept

    return [Path(name) for name in listed.stdout.splitlines() if let_through(name) and (ROOT / name).is_file()]


class Image(unittest.TestCase):
    def test_it_is_linted(self):
        hadolint = Path(sys.executable).parent / "hadolint"
        done = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_it_builds_by_the_commands_of_the_makefile(self):
        make = (ROOT / "Makefile").read_text().replace("$(CARGO)", "cargo")
        for stage, wanted in {
            "web": ["npm ci --no-audit --no-fund --silent", "npm run --silent build"],
            "build": ["cargo build --release --locked"],
        }.items():
            for command in wanted:
                self.assertIn(command, commands(stage))
                self.assertRegex(make, re.escape(command) + r"(\n|$)")
        (listed,) = commands("listed")
        tool, options = re.fullmatch(r"(npx --yes \S+) (.*) -o \S+ \.", listed).groups()
        self.assertIn(f"{tool} {options}", make)

    def test_it_is_given_what_it_builds_from_and_no_more(self):
        files = given()
        tops = {file.parts[0] for file in files}
        wanted = {"Cargo.toml", "Cargo.lock", "src", "relay-proto", "origin", "edge", "bench", "web"}
        # Cargo would not miss it, and the binary would lack what it says.
        wanted |= {"build.rs"} if (ROOT / "build.rs").exists() else set()
        self.assertEqual(tops, wanted)
        self.assertFalse([file for file in files if file.suffix in {".pem", ".env", ".db"}])
        for file in (file for file in files if file.suffix == ".rs" and "tests" not in file.stem):
            for path in READ.findall((ROOT / file).read_text()):
                read = (ROOT / file.parent / path).resolve().relative_to(ROOT)
                self.assertIn(read, files, f"{file} reads it, and .dockerignore holds it back")
        with tempfile.TemporaryDirectory() as directory:
            for file in files:
                copy = Path(directory, file)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / file, copy)
            # Cargo finds every member, and the lock file to fit.
            asked = ["cargo", "metadata", "--locked", "--no-deps", "--format-version", "1"]
            done = subprocess.run(asked, cwd=directory, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_both_images_are_one_but_for_ffmpeg(self):
        settings = {"ARG", "LABEL", "ENV", "WORKDIR", "USER", "EXPOSE", "ENTRYPOINT", "CMD", "COPY"}
        small, large = (
            [each for each in stages()[stage] if each[0] in settings] for stage in ("lectern", "with-ffmpeg")
        )
        self.assertEqual(small, large)
        self.assertEqual(list(stages())[-1], "lectern", "the last stage is what `docker build .` makes")
        self.assertFalse(commands("lectern"), "there is no shell to run anything in")
        (user,) = [rest for instruction, rest in small if instruction == "USER"]
        self.assertGreater(int(user.split(":")[0]), 0, "a number, which runAsNonRoot can judge")

    def test_every_port_that_it_names_is_one_of_lecterns(self):
        told = subprocess.run([binary(), "--help"], check=True, capture_output=True, text=True).stdout
        defaults = set(re.findall(r'= "(?:0\.0\.0\.0|\[::\]):(\d+)"', told)) - {"8443"}
        (named,) = [rest for instruction, rest in stages()["lectern"] if instruction == "EXPOSE"]
        self.assertEqual({port.split("/")[0] for port in named.split()}, defaults)
