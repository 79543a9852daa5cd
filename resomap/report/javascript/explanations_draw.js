// Drawing of the explanation browser: an image, a signed map over it, the outline of a mask.
"use strict";

resomap.drawing = (() => {
  // Blue and orange keep apart for every kind of colour vision, and differ from grey.
  const AGAINST = [38, 110, 196];
  const FOR = [236, 112, 0];
  // Small values would hardly be visible if the colour grew in proportion.
  const GAMMA = 0.75;

  function drawTile(context, tile, size) {
    // The pixels of the network's input are to be seen, also where they are few.
    context.imageSmoothingEnabled = tile.side > size;
    context.drawImage(tile.sprite, tile.left, tile.top, tile.side, tile.side, 0, 0, size, size);
  }

  function strokeOutline(context, outline, units, size) {
    const scale = size / units;
    context.lineJoin = "round";
    // A light line in a dark one is visible on every image and colour.
    for (const [colour, width] of [["rgba(0, 0, 0, .75)", 0.012], ["#fff", 0.0055]]) {
      context.strokeStyle = colour;
      context.lineWidth = Math.max(size * width, colour === "#fff" ? 1 : 2.4);
      for (const line of outline) {
        context.beginPath();
        for (let i = 0; i < line.length; i += 2) context.lineTo(line[i] * scale, line[i + 1] * scale);
        context.stroke();
      }
    }
  }

  function paintMap(map, opacity) {
    const canvas = resomap.element("canvas", { width: map.side, height: map.side });
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(map.side, map.side);
    map.values.forEach((value, i) => {
      const alpha = 255 * opacity * Math.abs(value) ** GAMMA;
      pixels.data.set([...(value < 0 ? AGAINST : FOR), Math.round(alpha)], 4 * i);
    });
    context.putImageData(pixels, 0, 0);
    return canvas;
  }

  // Draw an image with the outline of its object.
  function image(canvas, tile, outline, units) {
    const context = canvas.getContext("2d");
    drawTile(context, tile, canvas.width);
    strokeOutline(context, outline, units, canvas.width);
  }

  // Draw a map over the image in grey, with the outline of the object; null for no map.
  function overlay(canvas, tile, map, opacity, outline, units) {
    const context = canvas.getContext("2d");
    context.filter = "grayscale(1)";
    drawTile(context, tile, canvas.width);
    context.filter = "none";
    if (map) {
      // Half veiled with grey, as colours are hard to see on black and on white.
      context.fillStyle = "rgba(150, 150, 150, .35)";
      context.fillRect(0, 0, canvas.width, canvas.width);
      context.imageSmoothingEnabled = false;
      context.drawImage(paintMap(map, opacity), 0, 0, canvas.width, canvas.width);
    }
    strokeOutline(context, outline, units, canvas.width);
  }

  return { image, overlay };
})();
