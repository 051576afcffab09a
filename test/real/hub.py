"""What Python's huggingface_hub makes of a cache: hub.py find REPO (without the hub), or hub.py fetch REPO NAME..."""

import json
import sys

from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download

command, repo, *names = sys.argv[1:]
if command == "find":
    folder = snapshot_download(repo, local_files_only=True)
    found = scan_cache_dir()
    print(json.dumps({"folder": folder, "warnings": [str(w) for w in found.warnings], "size": found.size_on_disk}))
else:
    print(json.dumps([hf_hub_download(repo, name) for name in names]))
