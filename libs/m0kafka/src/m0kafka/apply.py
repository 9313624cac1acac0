"""Do what a plan says."""

from collections.abc import Callable, Mapping

from m0kafka.cluster import Cluster
from m0kafka.plan import Plan


def apply(cluster: Cluster, plan: Plan, passwords: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Every step, each said before it is done, and every user of `passwords` given that password.

    Doing it again is harmless. Raises Unavailable: what was done before stays, and the next plan goes on from there.
    """
    for step in plan.create:
        say(str(step))
        cluster.create(step.name, step.partitions, step.replication, step.settings)
    for change in plan.change:
        say(str(change))
        cluster.change(change.name, change.settings)
    for user, password in passwords.items():
        say(f"set the password of user {user}")
        cluster.set_password(user, password)
    for verb, rights, do in (("grant", plan.grant, cluster.grant), ("revoke", plan.revoke, cluster.revoke)):
        for right in rights:
            say(f"{verb} {right}")
        if rights:
            do(rights)
