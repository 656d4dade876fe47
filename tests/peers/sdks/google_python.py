"""Google's official client for Python, speaking to the Gemini API and to Vertex AI; see play.py."""

from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials

from play import BASE_URL, KEY, MODEL, play

OPTIONS = types.HttpOptions(base_url=BASE_URL, client_args={"trust_env": False})
TOOLS = [
    types.Tool(
        function_declarations=[
            types.FunctionDeclaration(
                name="now",
                description="The time in a zone.",
                parameters=types.Schema(type="OBJECT", properties={"zone": types.Schema(type="STRING")}),
            )
        ]
    )
]


class Clients:
    def __init__(self):
        self.gemini = genai.Client(api_key=KEY, http_options=OPTIONS)
        self.vertex = genai.Client(
            vertexai=True, project="p-1", location="us-central1", credentials=Credentials(KEY), http_options=OPTIONS
        )


def told(answers):
    candidates = [answer.candidates[0] for answer in answers if answer.candidates]
    parts = [part for candidate in candidates for part in (candidate.content and candidate.content.parts) or []]
    last = answers[-1]
    return {
        "model": last.model_version,
        "text": "".join(part.text for part in parts if part.text and not part.thought),
        "thinking": "".join(part.text for part in parts if part.text and part.thought),
        "tools": [[part.function_call.name, part.function_call.args] for part in parts if part.function_call],
        "finish_reason": candidates[-1].finish_reason.value if candidates else last.prompt_feedback.block_reason.value,
        "usage": last.usage_metadata.to_json_dict(),
        "chunks": len(answers),
    }


def asked(**options):
    config = types.GenerateContentConfig(max_output_tokens=8, temperature=0.5, **options)
    return {"model": MODEL, "contents": "Say hello.", "config": config}


def whole(client, **options):
    return told([client.models.generate_content(**asked(**options))])


def stream(client, **options):
    return told(list(client.models.generate_content_stream(**asked(**options))))


def embed(client):
    answer = client.models.embed_content(model="text-embedding-demo", contents=["Hello", "and goodbye"])
    return {"vectors": len(answer.embeddings)}


def count(client):
    return {"total": client.models.count_tokens(model=MODEL, contents="Say hello.").total_tokens}


def interaction(client, **options):
    answer = client.interactions.create(model=MODEL, input="Say hello.", **options)
    return {"text": answer.output_text, "status": answer.status}


def interaction_stream(client):
    events = list(client.interactions.create(model=MODEL, input="Say hello.", stream=True))
    deltas = [event.delta for event in events if event.event_type == "step.delta"]
    text = "".join(delta.text for delta in deltas if delta.type == "text")
    return {"text": text, "status": events[-1].interaction.status}


def interaction_again(client):
    return {"status": client.interactions.get("v1_YmFy").status}


SCENARIOS = {
    "whole": lambda clients: whole(clients.gemini),
    "stream": lambda clients: stream(clients.gemini),
    "tools": lambda clients: whole(clients.gemini, tools=TOOLS),
    "stream_tools": lambda clients: stream(clients.gemini, tools=TOOLS),
    "embed": lambda clients: embed(clients.gemini),
    "count": lambda clients: count(clients.gemini),
    "interaction": lambda clients: interaction(clients.gemini, generation_config={"max_output_tokens": 8}),
    "interaction_stream": lambda clients: interaction_stream(clients.gemini),
    "interaction_again": lambda clients: interaction_again(clients.gemini),
    "vertex_tools": lambda clients: whole(clients.vertex, tools=TOOLS),
    "vertex_stream_tools": lambda clients: stream(clients.vertex, tools=TOOLS),
    "vertex_embed": lambda clients: embed(clients.vertex),
}

play(f"google-genai-python {genai.__version__}", Clients(), SCENARIOS, errors.APIError)
