"""Make the environment that the library adapters is measured in, which needs a transformers of its own.

    python -m benchmarks.adapters_environment [FOLDER]

The suite finds it in the default folder by itself. About 1.3 GB; torch is of the same version as isogloss's, so that
the libraries are compared and not their torch.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

FOLDER = Path("runs") / "adapters-environment"
ADAPTERS = "adapters==1.3.0"
TRANSFORMERS = "transformers==4.57.6"  # the last that it goes with


def python(folder: Path = FOLDER) -> Path:
    """The interpreter of that environment, whether it is there or not."""
    windows = folder / "Scripts" / "python.exe"
    return (windows if windows.exists() else folder / "bin" / "python").absolute()


def main() -> None:
    from importlib import metadata

    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    venv.create(folder, with_pip=True, clear=True)
    install = [str(python(folder)), "-m", "pip", "install", "--quiet"]
    torch = metadata.version("torch").partition("+")[0]
    # One after the other: torch first, in whatever build pip is set up to find.
    for packages in ([f"torch=={torch}"], [ADAPTERS, TRANSFORMERS]):
        print("installing", *packages)
        subprocess.run([*install, *packages], check=True)  # noqa: S603
    print(f"made {folder}; `python -m benchmarks --part adapters` measures it")


if __name__ == "__main__":
    main()
