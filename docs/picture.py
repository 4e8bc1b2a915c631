"""Terminal output as an SVG picture: python picture.py < output.txt > picture.svg

Lines that begin with "$ " are commands. Nothing is added or changed; what was left out has been left out of the input,
where "..." stands for it.
"""
import sys
from html import escape

SIZE, LINE, PAD = 14, 20, 16
lines = [line.rstrip("\n") for line in sys.stdin]
width = max(map(len, lines)) * SIZE * 0.602 + 2 * PAD
height = len(lines) * LINE + 2 * PAD
print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" role="img">')
print(f'<rect width="100%" height="100%" rx="8" fill="#15191e"/>')
print(f'<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace" font-size="{SIZE}">')
for i, line in enumerate(lines):
    colour = "#9ad1ff" if line.startswith("$ ") else "#d8dee6"
    text = escape(line).replace(" ", "&#160;")
    print(f'<text x="{PAD}" y="{PAD + i * LINE + SIZE}" fill="{colour}">{text}</text>')
print("</g></svg>")
