"""Task and language adapters, as the adapters library's configurations (FUN, appendix B and G.4)."""

from adapters import LoRAConfig, SeqBnConfig, SeqBnInvConfig


def bottleneck(*, reduction: int, nonlinearity: str) -> SeqBnConfig:
    """After the FFN only, hidden size / `reduction` wide; no invertible block of its own."""
    return SeqBnConfig(reduction_factor=reduction, non_linearity=nonlinearity)


def lora(*, r: int, alpha: int) -> LoRAConfig:
    """Rank `r`, scale `alpha` / `r`, on the query and value projections, no dropout."""
    return LoRAConfig(r=r, alpha=alpha, dropout=0.0, attn_matrices=["q", "v"])


def language(*, reduction: int, nonlinearity: str) -> SeqBnInvConfig:
    """A MAD-X language adapter: as `bottleneck`, with an invertible NICE block half as wide as the embeddings."""
    return SeqBnInvConfig(
        reduction_factor=reduction, non_linearity=nonlinearity, inv_adapter="nice", inv_adapter_reduction_factor=2
    )
