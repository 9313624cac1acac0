"""`m0 doctor`: the verification checklist of a deployment as a program.

A *box* is a function from a `Site` to a `Verdict`; all of them stand in `boxes.BOXES`, in the order they are said. A
box writes nothing. What it raises of ours is its verdict, and `run` bounds how long it may take.
"""
