"""Chat templates of the usual kinds and what transformers makes of conversations with them: test/tokenizer/fixtures/chat.json.

make-chat-fixtures.py writes the file anew.
"""

import json
from pathlib import Path

import transformers
from transformers.utils.chat_template_utils import render_jinja_template

OUT = Path(__file__).resolve().parents[2] / "test" / "tokenizer" / "fixtures" / "chat.json"

CHATML = """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are a helpful assistant<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}"""

HEADERS = """{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{%- if tools is not defined %}
    {%- set tools = none %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if not tools is none %}
    {{- "Tools." }}
{%- endif %}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
"""

TURNS = """{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}
{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% else %}{{ message['content'] + eos_token }}{% endif %}
{% endfor %}"""

THINKING = """{%- set ns = namespace(last=messages|length - 1, found=false) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if not ns.found and message.role == "user" and message.content is string %}
        {%- set ns.found = true %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == "assistant" %}
        {%- set content = message.content %}
        {%- if '</think>' in content %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>' + message.role + '\\n' }}
        {%- if loop.index0 > ns.last %}
            {{- '<think>\\n\\n</think>\\n\\n' }}
        {%- endif %}
        {{- content + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
"""

CONVERSATIONS = [
    [{"role": "user", "content": "Who are you?"}, {"role": "assistant", "content": " A program.\n"}],
    [
        {"role": "user", "content": "2 + 2?"},
        {"role": "assistant", "content": "<think>\nSums.\n</think>\n\n4"},
        {"role": "user", "content": "Größer?"},
        {"role": "assistant", "content": "<think>\nMore.\n</think>\n\n5 & <6>"},
    ],
]
SYSTEM = [{"role": "system", "content": "  Be brief.  "}, *CONVERSATIONS[0]]
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


def render(template, conversation, answer=False):
    texts, _ = render_jinja_template(
        [conversation], chat_template=template, add_generation_prompt=answer, **TOKENS
    )
    return texts[0]


cases = []
for name, template in {"chatml": CHATML, "headers": HEADERS, "turns": TURNS, "thinking": THINKING}.items():
    for conversation in CONVERSATIONS + ([SYSTEM] if name != "turns" else []):
        texts = {"text": render(template, conversation), "asked": render(template, conversation, answer=True)}
        cases.append({"name": name, "template": template, "messages": conversation, **texts})
fixture = {"transformers": transformers.__version__, "tokens": TOKENS, "cases": cases}
OUT.write_text(json.dumps(fixture, indent=1, ensure_ascii=False) + "\n")
