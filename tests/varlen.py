"""Attention of variable length written out row by row, in place of the kernel that a CPU has not."""

import torch


def variable_length(query, key, value, lay, *, scaling, back, causal):
    """As PyTorch's kernel: causal rows end together, windows go so far back, key heads serve several query heads."""
    queries, keys = lay.query_starts.tolist(), lay.key_starts.tolist()
    assert len(queries) == len(keys)
    assert (queries[-1], keys[-1]) == (len(query), len(key))
    out = torch.zeros_like(query)
    parts = []
    for begin, end, first, last in zip(queries, queries[1:], keys, keys[1:], strict=False):
        assert end - begin <= lay.longest_query
        assert last - first <= lay.longest_key
        if end == begin:
            continue
        own, seen = (part[first:last].repeat_interleave(query.shape[1] // key.shape[1], dim=1) for part in (key, value))
        scores = torch.einsum("thd,shd->hts", query[begin:end], own) * scaling
        at = torch.arange(end - begin)[:, None] + (last - first) - (end - begin) - torch.arange(last - first)
        closed = (at < 0 if causal else torch.zeros_like(at, dtype=torch.bool)) | (
            at > back if back is not None else False
        )
        parts.append(torch.einsum("hts,shd->thd", scores.masked_fill(closed, -torch.inf).softmax(-1), seen))
    return torch.cat(parts) if parts else out
