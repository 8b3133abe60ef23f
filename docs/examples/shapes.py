"""An example of a user's own model: three classes of color pictures, in a folder of JPEG files.

python docs/examples/shapes.py pictures shapes              make shapes/train/CLASS/*.jpg and shapes/test/CLASS/*.jpg
python docs/examples/shapes.py train shapes shapes.keras    train a small network on them, as a tutorial would
"""

import argparse
import random
from pathlib import Path

CLASSES = ("circle", "square", "triangle")
SIZE = 32  # pixels


def make_pictures(folder: Path, train: int, test: int) -> None:
    """Draw pictures of each class: a dark shape of random color, size and place on a light background."""
    from PIL import Image, ImageDraw

    rng = random.Random(1)
    for split, count in (("train", train), ("test", test)):
        for name in CLASSES:
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                background = tuple(rng.randrange(150, 256) for _ in range(3))
                color = tuple(rng.randrange(110) for _ in range(3))
                picture = Image.new("RGB", (SIZE, SIZE), background)
                draw, radius = ImageDraw.Draw(picture), rng.uniform(8, 13)
                x, y = (rng.uniform(radius, SIZE - radius) for _ in range(2))
                if name == "circle":
                    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)
                else:
                    sides = {"square": 4, "triangle": 3}[name]
                    draw.regular_polygon((x, y, radius), sides, rotation=rng.randrange(360), fill=color)
                picture.save(folder / split / name / f"{number:04}.jpg", quality=95)


def train(folder: Path, model_path: Path, epochs: int) -> None:
    """Train a small network on pixels from 0 to 1, and save it."""
    import keras

    keras.utils.set_random_seed(1)
    pictures = keras.utils.image_dataset_from_directory(folder / "train", image_size=(SIZE, SIZE), seed=1)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(pictures.map(lambda x, y: (x / 255, y)), epochs=epochs, verbose=2)
    model.save(model_path)


def main() -> None:
    """Run one of the two commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    pictures = commands.add_parser("pictures")
    pictures.add_argument("folder", type=Path)
    pictures.add_argument("--train", type=int, default=1000, help="pictures of each class for training")
    pictures.add_argument("--test", type=int, default=1500, help="pictures of each class for testing")
    training = commands.add_parser("train")
    training.add_argument("folder", type=Path)
    training.add_argument("model", type=Path)
    training.add_argument("--epochs", type=int, default=15)
    options = parser.parse_args()
    if options.command == "pictures":
        make_pictures(options.folder, options.train, options.test)
    else:
        train(options.folder, options.model, options.epochs)


if __name__ == "__main__":
    main()
