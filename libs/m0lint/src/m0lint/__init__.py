"""The house rules that no general linter knows. `m0lint PATH…` prints `file:line: code message` and exits 1 on any."""
