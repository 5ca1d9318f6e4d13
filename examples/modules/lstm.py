"""An LSTM, as people write it: geomem memorize path-star --module examples/modules/lstm.py:factory."""

from torch import nn


class Lstm(nn.Module):
    def __init__(self, vocabulary, width=32):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens):
        return self.head(self.lstm(self.embed(tokens))[0])


def factory(sizes):
    return Lstm(sizes.vocabulary_size)
