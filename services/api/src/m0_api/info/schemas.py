"""What the interface says about the deployment."""

from pydantic import BaseModel, Field


class Programs(BaseModel):
    """Program addresses, base58; null for what is not deployed."""

    oracle: str | None
    registry: str | None
    fee_router: str | None
    governance: str | None


class SignerSet(BaseModel):
    """Keys that may sign epochs together."""

    id: int
    threshold: int
    signers: list[str] = Field(description="base58")
    activation_epoch: int
    retired: bool


class Info(BaseModel):
    """Everything a stranger needs to verify on their own."""

    cluster: str
    rpc_url: str | None = Field(description="A node for anybody; null when the operator names none: use your own")
    ws_url: str | None = Field(description="The PubSub address of that node")
    programs: Programs
    signer_sets: list[SignerSet]
    version: str
