"""`python -m m0_warden`: signs what ingest asks for until SIGTERM."""

from m0common.process import run

from m0_warden.service import compose

if __name__ == "__main__":
    run("warden", ("deployment", "kafka", "catalogs"), compose)
