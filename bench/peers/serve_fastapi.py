"""The least that a service can be, one route: uvicorn --app-dir bench/peers serve_fastapi:app"""

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from serve_loop import Loop

app = FastAPI()
loop = Loop()


@app.post("/predict")
async def predict(request: Request) -> dict[str, float]:
    """A raw JPEG."""
    film = await request.body()
    return {"logit": await run_in_threadpool(loop, film)}
