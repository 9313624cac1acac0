"""`python -m m0_signer.workers`: a worker, as the desk starts it."""

from m0lanes.stages import Heart

from m0_signer.workers.serve import serve

if __name__ == "__main__":
    serve(Heart.installed)
