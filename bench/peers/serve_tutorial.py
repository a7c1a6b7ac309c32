"""
A classifier on Ray Serve as tutorials show it: two deployments, Pillow, torchvision, torch.

Its weights are random: what it costs does not depend on them.
"""

import io

import torch
from fastapi import FastAPI, UploadFile
from PIL import Image
from ray import serve
from ray.serve.handle import DeploymentHandle
from torchvision import models, transforms

app = FastAPI()


@serve.deployment(name="tutorial-model")
class Model:
    """The network."""

    def __init__(self) -> None:
        self._network = models.resnet18(weights=None, num_classes=2).eval()

    def __call__(self, batch: torch.Tensor) -> float:
        """The second class's probability."""
        with torch.no_grad():
            return float(torch.softmax(self._network(batch), dim=1)[0, 1])


@serve.deployment(name="tutorial-ingress")
@serve.ingress(app)
class Ingress:
    """HTTP, and what the network needs done before."""

    def __init__(self, model: DeploymentHandle) -> None:
        self._model = model
        self._transform = transforms.Compose(
            [
                transforms.Resize((224, 224)),
                transforms.ToTensor(),
                transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )

    @app.post("/predict")
    async def predict(self, image: UploadFile) -> dict[str, float]:
        """A JPEG in the form's field ``image``."""
        film = Image.open(io.BytesIO(await image.read())).convert("RGB")
        batch = self._transform(film).unsqueeze(0)
        return {"probability": await self._model.remote(batch)}


def build(arguments: dict[str, int]) -> serve.Application:
    """The application; ``replicas`` of each deployment."""
    replicas = arguments.get("replicas", 1)
    model = Model.options(num_replicas=replicas).bind()
    bound: serve.Application = Ingress.options(num_replicas=replicas).bind(model)
    return bound
