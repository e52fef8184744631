"""NiN with d2l and TensorFlow: the shapes, then `d2l.Trainer` on real images."""

import sys

import nin_lib.d2l
from nin_lib.data import Dataset, load
from nin_lib.widgets import LiveCurves

curves = LiveCurves()
d2l = nin_lib.d2l.enable("tensorflow", board=curves)

import tensorflow as tf  # noqa: E402  after `enable`, which chooses the Keras that it brings


def nin_block(out_channels, kernel_size, strides, padding):
    return tf.keras.models.Sequential(
        [
            tf.keras.layers.Conv2D(out_channels, kernel_size, strides=strides, padding=padding),
            tf.keras.layers.Activation("relu"),
            tf.keras.layers.Conv2D(out_channels, 1),
            tf.keras.layers.Activation("relu"),
            tf.keras.layers.Conv2D(out_channels, 1),
            tf.keras.layers.Activation("relu"),
        ]
    )


class NiN(d2l.Classifier):
    def __init__(self, lr=0.1, num_classes=10):
        super().__init__()
        self.save_hyperparameters()
        self.net = tf.keras.models.Sequential(
            [
                nin_block(96, kernel_size=11, strides=4, padding="valid"),
                tf.keras.layers.MaxPool2D(pool_size=3, strides=2),
                nin_block(256, kernel_size=5, strides=1, padding="same"),
                tf.keras.layers.MaxPool2D(pool_size=3, strides=2),
                nin_block(384, kernel_size=3, strides=1, padding="same"),
                tf.keras.layers.MaxPool2D(pool_size=3, strides=2),
                tf.keras.layers.Dropout(0.5),
                nin_block(num_classes, kernel_size=3, strides=1, padding="same"),
                tf.keras.layers.GlobalAvgPool2D(),
                tf.keras.layers.Flatten(),
            ]
        )


tf.random.set_seed(0)
model = NiN(lr=0.05)
model.layer_summary((1, 224, 224, 1))

batch_size = int(sys.argv[1]) if len(sys.argv) > 1 else 8
mini = load("mini")
few = Dataset("few", mini.train.first(6 * batch_size), mini.val.first(2 * batch_size), mini.test)
data = d2l.FashionMNIST(batch_size, resize=(224, 224), data=few)
with curves:
    d2l.Trainer(max_epochs=1).fit(model, data)
biases = [array.numpy() for array in model.net.trainable_weights if len(array.shape) == 1]
changed = [bool(array.any()) for array in biases]  # Keras starts them at zero
print("biases changed", sum(changed), "of", len(changed))
print("training loss", *(loss for _, loss in curves.config["series"]["train_loss"]))
