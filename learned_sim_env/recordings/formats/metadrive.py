from pathlib import Path
def recognises(path: Path) -> bool:
    return False
