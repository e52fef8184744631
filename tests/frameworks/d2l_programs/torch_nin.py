"""NiN with d2l and PyTorch: the shapes, then `train_ch6` on real images."""

import sys

import torch
from torch import nn

import nin_lib.d2l
from nin_lib.data import Dataset, load
from nin_lib.widgets import LiveCurves

curves = LiveCurves()
d2l = nin_lib.d2l.enable("torch", board=curves)


class PixelMLPBlock(nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size, stride, padding):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, kernel_size=1),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, kernel_size=1),
            nn.ReLU(),
        )

    def forward(self, X):
        return self.block(X)


class NiNClassifier(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.features = nn.Sequential(
            PixelMLPBlock(1, 96, kernel_size=11, stride=4, padding=0),
            nn.MaxPool2d(kernel_size=3, stride=2),
            PixelMLPBlock(96, 256, kernel_size=5, stride=1, padding=2),
            nn.MaxPool2d(kernel_size=3, stride=2),
            PixelMLPBlock(256, 384, kernel_size=3, stride=1, padding=1),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Dropout(0.5),
            PixelMLPBlock(384, num_classes, kernel_size=3, stride=1, padding=1),
            nn.AdaptiveAvgPool2d((1, 1)),
        )
        self.flatten = nn.Flatten()

    def forward(self, X):
        return self.flatten(self.features(X))


torch.manual_seed(0)
net = NiNClassifier()
X = torch.randn(1, 1, 224, 224)
for layer in [*net.features, net.flatten]:
    X = layer(X)
    print(f"{layer.__class__.__name__}: {X.shape}")

batch_size = int(sys.argv[1]) if len(sys.argv) > 1 else 8
mini = load("mini")
few = Dataset("few", mini.train.first(6 * batch_size), mini.val.first(2 * batch_size), mini.test)
train, test = d2l.load_data_fashion_mnist(batch_size, resize=224, data=few)
biases = [layer.bias.clone() for layer in net.modules() if isinstance(layer, nn.Conv2d)]
with curves:
    d2l.train_ch6(net, train, test, num_epochs=1, lr=0.1, device=d2l.try_gpu())
after = [layer.bias for layer in net.modules() if isinstance(layer, nn.Conv2d)]
changed = [not torch.equal(*pair) for pair in zip(biases, after, strict=True)]
print("biases changed", sum(changed), "of", len(changed))  # the weights it draws anew at the start
print("training loss", *(loss for _, loss in curves.config["series"]["train_loss"]))
