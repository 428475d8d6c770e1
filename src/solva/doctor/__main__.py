"""``python -m solva.doctor [DATA-ROOT]``: the examination as JSON on standard output. Needs no engine."""

import json
import sys
from pathlib import Path

from solva.doctor.examine import DEFAULT_DATA, examine

if __name__ == "__main__":
    json.dump(examine(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_DATA), sys.stdout)
