"""One question, put to a defender by the clients of each protocol."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import openai
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, InferResponse
from kserve.inference_client import RESTConfig

from sparring.samples.images import encode_png
from sparring.v1 import defender_pb2

SPEAKS = {"open_inference": True, "rest_port": 0}
PICTURE = encode_png(np.full((10, 10, 3), 4, np.uint8))
SETTINGS = {"count": 2, "seed": 9, "max_tokens": 8}


class Asking:
    """One question, put by each client."""

    def __init__(self, running, chat: openai.AsyncOpenAI, image: bytes = PICTURE, prompt: str = "where?") -> None:
        self._running, self.openai = running, chat
        self._image, self._prompt = image, prompt

    async def by_contract(self, count: int = 2, **changes: object) -> list[str]:
        sampling = defender_pb2.AnswerSampling(temperature=0.7, max_tokens=8)
        request = defender_pb2.AnswerRequest(
            image=self._image, prompt=self._prompt, count=count, seed=9, sampling=sampling, **changes
        )
        return [answer.text for answer in (await self._running.stub.Answer(request)).answers]

    def inference(self, raw: bool = True, **parameters: object) -> InferRequest:
        tensors = [InferInput("image", [1], "BYTES"), InferInput("prompt", [1], "BYTES")]
        for tensor, content in zip(tensors, (self._image, self._prompt.encode()), strict=True):
            tensor.set_data_from_numpy(np.array([content], dtype=object))
        if not raw:
            tensors = [
                InferInput("image", [1], "BYTES", [base64.b64encode(self._image).decode()]),
                InferInput("prompt", [1], "BYTES", [self._prompt]),
            ]
        # gRPC's parameters have no floating-point numbers.
        return InferRequest("defender", tensors, parameters={**SETTINGS, "temperature": "0.7", **parameters})

    async def by_grpc(self, **parameters: object) -> InferResponse:
        async with InferenceGRPCClient(self._running.addresses.grpc, retries=0, timeout=None) as client:
            return await client.infer(self.inference(**parameters))

    async def by_http(self, raw: bool = False, **parameters: object) -> InferResponse:
        client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=None))
        try:
            request = self.inference(raw, **parameters)
            return await client.infer(self._running.rest, request, model_name="defender")
        finally:
            await client.close()

    def chat(self, **changes: object) -> dict[str, object]:
        image = f"data:image/png;base64,{base64.b64encode(self._image).decode()}"
        content = [{"type": "image_url", "image_url": {"url": image}}, {"type": "text", "text": self._prompt}]
        message = {"role": "user", "content": content}
        settings = {"model": "defender", "n": 2, "seed": 9, "temperature": 0.7, "max_tokens": 8}
        return {**settings, "messages": [message], **changes}

    async def by_chat(self, **changes: object) -> openai.types.chat.ChatCompletion:
        return await self.openai.chat.completions.create(**self.chat(**changes))


@asynccontextmanager
async def asking(running, **question: object) -> AsyncIterator[Asking]:
    url = f"{running.rest}/openai/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=None) as client:
        yield Asking(running, client, **question)


def texts(response: InferResponse) -> list[str]:
    return [text.decode() if isinstance(text, bytes) else text for text in response.outputs[0].as_numpy().tolist()]
