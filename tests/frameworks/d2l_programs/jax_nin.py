"""NiN with d2l and JAX: the shapes, then `d2l.Trainer` on real images."""

import sys

import jax
import optax
from flax import linen as nn

import nin_lib.d2l
from nin_lib.data import Dataset, load
from nin_lib.widgets import LiveCurves

curves = LiveCurves()
d2l = nin_lib.d2l.enable("jax", board=curves)


def nin_block(out_channels, kernel_size, strides, padding):
    return nn.Sequential(
        [
            nn.Conv(out_channels, kernel_size, strides, padding),
            nn.relu,
            nn.Conv(out_channels, kernel_size=(1, 1)),
            nn.relu,
            nn.Conv(out_channels, kernel_size=(1, 1)),
            nn.relu,
        ]
    )


class NiN(d2l.Classifier):
    lr: float = 0.1
    num_classes: int = 10
    training: bool = True

    def setup(self):
        self.net = nn.Sequential(
            [
                nin_block(96, kernel_size=(11, 11), strides=(4, 4), padding=(0, 0)),
                lambda x: nn.max_pool(x, (3, 3), strides=(2, 2)),
                nin_block(256, kernel_size=(5, 5), strides=(1, 1), padding=(2, 2)),
                lambda x: nn.max_pool(x, (3, 3), strides=(2, 2)),
                nin_block(384, kernel_size=(3, 3), strides=(1, 1), padding=(1, 1)),
                lambda x: nn.max_pool(x, (3, 3), strides=(2, 2)),
                nn.Dropout(0.5, deterministic=not self.training),
                nin_block(self.num_classes, (3, 3), strides=(1, 1), padding=(1, 1)),
                lambda x: nn.avg_pool(x, x.shape[1:3], strides=x.shape[1:3]),
                lambda x: x.reshape((len(x), -1)),
            ]
        )

    def configure_optimizers(self):
        return optax.sgd(self.lr)


NiN(training=False).layer_summary((1, 224, 224, 1))

batch_size = int(sys.argv[1]) if len(sys.argv) > 1 else 8
mini = load("mini")
few = Dataset("few", mini.train.first(6 * batch_size), mini.val.first(2 * batch_size), mini.test)
data = d2l.FashionMNIST(batch_size, resize=(224, 224), data=few)
trainer = d2l.Trainer(max_epochs=1)
with curves:
    trainer.fit(NiN(lr=0.05), data, key=jax.random.PRNGKey(0))
biases = [array for array in jax.tree.leaves(trainer.state.params) if array.ndim == 1]
changed = [bool(array.any()) for array in biases]  # Flax starts them at zero
print("biases changed", sum(changed), "of", len(changed))
print("training loss", *(loss for _, loss in curves.config["series"]["train_loss"]))
