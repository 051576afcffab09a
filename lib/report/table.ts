import { type Html, html, type Part } from './html';
import { data, type Format } from './numbers';

export interface Cell {
  content: Part;
  /** `best`, `text`, `name`, `wrap` of style.css. */
  className?: string;
}

export interface Table {
  id: string;
  caption: string;
  head: readonly Part[];
  /** The first cell of a row is its header. */
  rows: readonly (readonly (Part | Cell)[])[];
}

/** A table that scrolls within itself, by keyboard too; its caption stays where it is. */
export function table({ id, caption, head, rows }: Table): Html {
  const named = `${id}-caption`;
  return html`<p class="caption" id="${named}">${caption}</p>
<div class="scroll" role="group" aria-labelledby="${named}" tabindex="0"><table id="${id}" aria-labelledby="${named}">
<thead><tr>${head.map((cell, column) => headCell(cell, rows[0]?.[column]))}</tr></thead>
<tbody>${rows.map(
    ([first, ...rest]) =>
      html`<tr><th scope="row">${contentOf(first)}</th>${rest.map(cellOf)}</tr>
`,
  )}</tbody>
</table></div>`;
}

/** Words stand at the left, and so does what stands above them. */
function headCell(cell: Part, below: Part | Cell): Html {
  const isText = isCell(below) && /text|name|wrap/.test(below.className ?? '');
  return isText
    ? html`<th scope="col" class="text">${cell}</th>`
    : html`<th scope="col">${cell}</th>`;
}

/** A number's cell; a dash where there is none. */
export function number(value: number | null | undefined, format: Format, className?: string): Cell {
  const content = value === null || value === undefined ? '–' : data(value, format);
  return { content, ...(className ? { className } : {}) };
}

export function words(text: Part, className = 'text'): Cell {
  return { content: text, className };
}

function cellOf(cell: Part | Cell): Html {
  const className = isCell(cell) ? cell.className : undefined;
  return className
    ? html`<td class="${className}">${contentOf(cell)}</td>`
    : html`<td>${contentOf(cell)}</td>`;
}

function contentOf(cell: Part | Cell): Part {
  return isCell(cell) ? cell.content : cell;
}

function isCell(cell: Part | Cell): cell is Cell {
  return typeof cell === 'object' && cell !== null && 'content' in cell;
}
