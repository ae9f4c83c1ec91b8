"""Let atheris search every parser of foreign bytes for an error that is not its own.

    make fuzz                                    # a minute for each parser
    .venv-fuzz/bin/python benchmarks/fuzz.py --parser arrow_columns --seconds 600

The parsers and their first inputs are those of tests/fuzz. An input that fails is written to
`crash-...` in the current folder, and the process ends with libFuzzer's status.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import atheris

TESTS = Path(__file__).parents[1] / "tests" / "fuzz"
sys.path.insert(0, str(TESTS))

with atheris.instrument_imports(include=["delever"]):
    import parsers


def search(name: str, seconds: int) -> None:
    """Search one parser in this process, which ends with it."""
    corpus = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    for number, seed in enumerate(parsers.seeds(name)):
        (corpus / str(number)).write_bytes(seed)
    options = [f"-max_total_time={seconds}", "-rss_limit_mb=4096", "-max_len=65536"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], parsers.PARSERS[name])
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--parser", choices=parsers.PARSERS, help="one parser instead of all")
    parser.add_argument("--seconds", type=int, default=60, help="how long, for each parser")
    options = parser.parse_args()
    if options.parser:
        search(options.parser, options.seconds)
    for name in parsers.PARSERS:
        command = [sys.executable, __file__, "--parser", name, "--seconds", str(options.seconds)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
