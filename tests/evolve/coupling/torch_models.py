"""Small models of torch's own layers, put together in the ways that models are."""

import torch
from torch import nn
from torch.nn import functional as F


class Plain(nn.Module):
    """A model of a function: `forward` is given, the layers are its attributes."""

    def __init__(self, forward, **layers):
        super().__init__()
        self._forward = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *args):
        return self._forward(self, *args)


def conv(inside, outside, **options):
    return nn.Conv2d(inside, outside, 3, padding=1, **options)


def residual():
    def forward(self, x):
        x = self.norm1(self.stem(x)).relu()
        x = x + self.norm2(self.second(F.relu(self.first(x))))
        return self.head(x.mean((2, 3)))

    return Plain(
        forward,
        stem=conv(3, 8),
        norm1=nn.BatchNorm2d(8),
        first=conv(8, 6),
        second=conv(6, 8),
        norm2=nn.BatchNorm2d(8),
        head=nn.Linear(8, 4),
    )


def option_a():
    """The shortcut of ResNet-20: every second place, channels padded with zeros."""

    def forward(self, x):
        x = self.stem(x).relu()
        extra = (self.out.out_channels - x.shape[1]) // 2
        x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, extra, extra)) + self.out(self.down(x).relu())
        return self.head(x.mean((2, 3)))

    return Plain(
        forward,
        stem=conv(3, 4),
        down=conv(4, 6, stride=2),
        out=conv(6, 8),
        head=nn.Linear(8, 4),
    )


def dense():
    def forward(self, x):
        x = self.stem(x)
        x = torch.cat([x, self.one(x.relu())], 1)
        x = torch.cat([x, self.two(self.norm(x).relu())], 1)
        return self.head(F.adaptive_avg_pool2d(x, 2).flatten(1))

    return Plain(
        forward,
        stem=conv(3, 4),
        one=conv(4, 3),
        norm=nn.BatchNorm2d(7),
        two=conv(7, 3),
        head=nn.Linear(40, 4),
    )


def depthwise():
    def forward(self, x):
        x = self.spread(x)
        x = self.each(x).relu()
        x = x * torch.sigmoid(self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu()))
        return self.head(self.back(x).relu().amax((2, 3)))

    return Plain(
        forward,
        spread=nn.Conv2d(3, 8, 1),
        each=conv(8, 8, groups=8),
        squeeze=nn.Conv2d(8, 2, 1),
        excite=nn.Conv2d(2, 8, 1),
        back=nn.Conv2d(8, 6, 1),
        head=nn.Linear(6, 4),
    )


def grouped():
    def forward(self, x):
        x = F.channel_shuffle(self.two(self.one(x).relu()), 2)
        return self.head(self.norm(self.three(x)).mean((2, 3)))

    return Plain(
        forward,
        one=conv(3, 8),
        two=conv(8, 12, groups=4),
        three=conv(12, 6, groups=2),
        norm=nn.GroupNorm(3, 6),
        head=nn.Linear(6, 4),
    )


def transposed():
    def forward(self, x):
        x = self.up(self.down(x).relu())
        return self.last(F.pixel_shuffle(self.wide(x).relu(), 2)).mean((2, 3))

    return Plain(
        forward,
        down=conv(3, 6, stride=2),
        up=nn.ConvTranspose2d(6, 4, 2, stride=2),
        wide=conv(4, 12),
        last=conv(3, 4),
    )


def transposed_groups():
    return nn.Sequential(
        conv(3, 6), nn.ReLU(), nn.ConvTranspose2d(6, 4, 3, groups=2), nn.Flatten(1, 1), conv(4, 5)
    )


def flattened():
    return nn.Sequential(
        *(conv(3, 4), nn.BatchNorm2d(4), nn.GELU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(64, 6), nn.Tanh(), nn.Linear(6, 4)),
    )


def instance():
    return nn.Sequential(
        *(conv(3, 4), nn.InstanceNorm2d(4, affine=True), nn.PReLU(4)),
        *(conv(4, 5), nn.Upsample(scale_factor=2), conv(5, 3)),
    )


def gated():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(192, 12), nn.GLU(), nn.Linear(6, 8), nn.RMSNorm(8), nn.Linear(8, 4)
    )


def weight_normed():
    return nn.Sequential(
        nn.Flatten(),
        nn.utils.parametrizations.weight_norm(nn.Linear(192, 6)),
        nn.ReLU(),
        nn.Linear(6, 5),
        nn.ReLU(),
        nn.utils.parametrizations.spectral_norm(nn.Linear(5, 4)),
    )


def called_twice():
    def forward(self, x):
        x = self.first(x.flatten(1))
        x = self.shared(F.relu(self.shared(x)))
        return self.head(x)

    return Plain(forward, first=nn.Linear(192, 6), shared=nn.Linear(6, 6), head=nn.Linear(6, 4))


IMAGES = {
    each.__name__: each
    for each in (
        residual,
        option_a,
        dense,
        depthwise,
        grouped,
        transposed,
        transposed_groups,
        flattened,
        instance,
        gated,
        weight_normed,
        called_twice,
    )
}


def encoder_layer():
    layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True)
    return Plain(lambda self, x: self.head(self.layer(x)), layer=layer, head=nn.Linear(8, 3))


def transformer():
    model = nn.Transformer(8, 2, 1, 1, 12, batch_first=True)
    return Plain(lambda self, x: self.head(self.model(x, x[:, :3])), model=model, head=nn.Linear(8, 3))


def attention():
    def forward(self, x):
        return self.head(self.attend(self.first(x), x, x, need_weights=False)[0])

    return Plain(
        forward,
        first=nn.Linear(8, 8),
        attend=nn.MultiheadAttention(8, 2, kdim=8, vdim=8, batch_first=True),
        head=nn.Linear(8, 3),
    )


def recurrent():
    def forward(self, x):
        x = self.lstm(self.first(x))[0]
        return self.head(self.middle(self.gru(x)[0]).relu())

    return Plain(
        forward,
        first=nn.Linear(8, 6),
        lstm=nn.LSTM(6, 5, batch_first=True),
        gru=nn.GRU(5, 4, batch_first=True),
        middle=nn.Linear(4, 7),
        head=nn.Linear(7, 3),
    )


def queries():
    """Learned queries that ask a sequence, as in DETR or BLIP, with einsum."""

    def forward(self, x):
        q, k, v = self.q(self.queries), self.k(x), self.v(x)
        scores = torch.einsum("qd,btd->bqt", q, k).softmax(-1)
        return self.head(torch.einsum("bqt,btd->bqd", scores, v))

    return Plain(
        forward,
        queries=nn.Parameter(torch.randn(5, 6)),
        q=nn.Linear(6, 4),
        k=nn.Linear(8, 4),
        v=nn.Linear(8, 6),
        head=nn.Linear(6, 3),
    )


def inside():
    """Tensors made within the model, writes into parts of them, and a weight that is used through `.data`."""

    def forward(self, x):
        h = self.first(x)
        state = torch.zeros(x.shape[0], h.shape[-1], dtype=x.dtype)
        out = torch.empty_like(h)
        for step in range(x.shape[1]):
            state = torch.tanh(state + h[:, step])
            out[:, step] = state
        return self.head(out) + F.linear(self.other(x), self.last.weight.data)

    return Plain(
        forward,
        first=nn.Linear(8, 6),
        head=nn.Linear(6, 3),
        other=nn.Linear(8, 5),
        last=nn.Linear(5, 3),
    )


def heads_in_attributes():
    """Sizes that a module keeps: alone, in a tuple, and twice."""

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.heads, self.width, self.sizes = 2, 4, (8, 8, 8)
            self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)

        def forward(self, x):
            q, k, v = (
                part.view(*x.shape[:2], self.heads, self.width).transpose(1, 2)
                for part in self.qkv(x).split(self.sizes, -1)
            )
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.out(mixed.transpose(1, 2).reshape(*x.shape[:2], self.heads * self.width))

    return nn.Sequential(Attention(), nn.Linear(8, 3))


SEQUENCES = {
    each.__name__: each
    for each in (
        encoder_layer,
        transformer,
        attention,
        recurrent,
        queries,
        inside,
        heads_in_attributes,
    )
}


def build(name, dtype):
    torch.manual_seed(0)
    if name in IMAGES:
        model, x = IMAGES[name](), torch.randn(2, 3, 8, 8)
    else:
        model, x = SEQUENCES[name](), torch.randn(2, 6, 8)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.to(dtype).eval(), x.to(dtype)
