export function mount(home){return {show(v){home.textContent=v?'histogram':''}}}
