#!/usr/bin/env bash
# Checks the files of hosted CI and of issue forms against their schemas, and with actionlint where that is installed.
# The argument is the Python that has check-jsonschema.
set -euo pipefail
cd "$(dirname "$0")/../.."

check=("${1:-python3}" -m check_jsonschema)
"${check[@]}" --builtin-schema vendor.github-workflows .github/workflows/*.yml
"${check[@]}" --builtin-schema vendor.github-issue-forms \
  .github/ISSUE_TEMPLATE/fault.yml .github/ISSUE_TEMPLATE/format.yml .github/ISSUE_TEMPLATE/wish.yml
"${check[@]}" --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml

if command -v actionlint >/dev/null; then
  actionlint
else
  echo "actionlint is not installed: the scripts and expressions in the workflows were not checked"
fi
