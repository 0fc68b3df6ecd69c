#!/bin/sh
# Pins every package that the tests and the pages need, for each Python that is supported
# and for Linux, Windows and macOS at once: requirements/py311.txt and so on.
#
# PyTorch is left out, and with it what only its builds for graphics cards need:
# tools/torch.sh takes its small build, in the version that stands there.
set -eu
cd "$(dirname "$0")/.."
UV=${UV:-uv}

for version in 3.11 3.12 3.13; do
    file=requirements/py$(echo "$version" | tr -d .).txt
    {
        echo "# Made by 'make lock': what is installed with Python $version."
        "$UV" pip compile -q pyproject.toml --extra test --extra docs \
            --universal --python-version "$version" \
            --no-emit-package torch --no-header --no-annotate |
            grep -v -E '^(nvidia-|cuda-|triton|#)'
    } >"$file.new"
    mv "$file.new" "$file"
    echo "$file: $(grep -c == "$file") packages" >&2
done
