"""One LSTM layer over the 32-vectors of a scan's slices, first to last: one logit a scan (Mao 2025)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from models.config import ModelConfig


class ScanLstm(nn.Module):
    """32 → LSTM 256 → dropout → 1: the state after the last slice decides."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.lstm = nn.LSTM(config.feature_size, config.lstm_size, batch_first=True)
        self.dropout = nn.Dropout(config.dropout)
        self.fc = nn.Linear(config.lstm_size, 1)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """features (B, T, 32), lengths (B,) where sequences are padded at their end → logits (B,)."""
        if lengths is None:
            _, (state, _) = self.lstm(features)
        else:
            packed = pack_padded_sequence(features, lengths.cpu(), batch_first=True, enforce_sorted=False)
            _, (state, _) = self.lstm(packed)
        return torch.as_tensor(self.fc(self.dropout(state[-1])).squeeze(1))
