# SPDX-License-Identifier: GPL-3.0-or-later
"""GLSL of the actor renderer."""

from __future__ import annotations

VERTEX = """
#version 330
uniform mat4 view; uniform mat4 lamp;
in vec3 position; in vec3 normal; in vec2 uv; in float open_air;
out vec3 place; out vec3 facing; out vec2 texel; out float air; out vec4 lamp_place;
void main() {
    place = position; facing = normal; texel = vec2(uv.x, 1.0 - uv.y); air = open_air;
    lamp_place = lamp * vec4(position, 1.0);
    gl_Position = view * vec4(position, 1.0);
}
"""

DEPTH_VERTEX = """
#version 330
uniform mat4 view;
in vec3 position; in vec2 uv;
out vec2 texel;
void main() { texel = vec2(uv.x, 1.0 - uv.y); gl_Position = view * vec4(position, 1.0); }
"""

DEPTH_FRAGMENT = """
#version 330
uniform sampler2D colour_map; uniform float cut;
in vec2 texel;
void main() { if (cut > 0.0 && texture(colour_map, texel).a < cut) discard; }
"""

BACKGROUND_VERTEX = """
#version 330
in vec2 corner; out vec2 spot;
void main() { spot = corner * 0.5 + 0.5; gl_Position = vec4(corner, 0.9999, 1.0); }
"""

BACKGROUND_FRAGMENT = """
#version 330
uniform sampler2D backdrop; in vec2 spot; out vec4 result;
void main() { result = vec4(texture(backdrop, vec2(spot.x, 1.0 - spot.y)).rgb, 1.0); }
"""

# Skin: light that enters red leaves further away, so the lamp wraps round the form and the sky's finer bands fade, most in red.
FRAGMENT = """
#version 330
uniform sampler2D colour_map; uniform sampler2D lamp_depth; uniform sampler2DArray mirrors;
uniform int material; uniform vec3 tint; uniform vec3 eye; uniform vec3 harmonics[9];
uniform vec3 key_direction; uniform vec3 key_colour;
uniform float lamp_texel; uniform float lamp_blur; uniform int taps;
uniform float open_mouth; uniform float cut; uniform int solid; uniform float bump; uniform float gloss;
in vec3 place; in vec3 facing; in vec2 texel; in float air; in vec4 lamp_place;
out vec4 result;
const int SKIN = 0, EYE = 1, TOOTH = 2, TONGUE = 3, CLOTH = 4, BROW = 5, LASH = 6, HAIR = 7;
const float PI = 3.14159265;

vec3 linear(vec3 c) { return pow(c, vec3(2.2)); }
float grey(vec3 c) { return dot(c, vec3(0.3, 0.59, 0.11)); }

vec3 sky(vec3 n, vec3 soft) {
    vec3 flat_part = harmonics[0] * 0.282095;
    vec3 first = 0.488603 * (harmonics[1] * n.y + harmonics[2] * n.z + harmonics[3] * n.x);
    vec3 second = 1.092548 * (harmonics[4] * n.x * n.y + harmonics[5] * n.y * n.z + harmonics[7] * n.x * n.z)
        + 0.315392 * harmonics[6] * (3.0 * n.z * n.z - 1.0) + 0.546274 * harmonics[8] * (n.x * n.x - n.y * n.y);
    return max(flat_part + first * soft + second * soft * soft, vec3(0.0));
}

vec3 mirror(vec3 direction, float level) {
    vec2 spot = vec2(atan(direction.x, direction.z) / (2.0 * PI), acos(clamp(direction.y, -1.0, 1.0)) / PI);
    float low = floor(level);
    return mix(texture(mirrors, vec3(spot, low)).rgb, texture(mirrors, vec3(spot, min(low + 1.0, 2.0))).rgb, level - low);
}

vec2 lit(float narrow, float wide, float bias, int taps) {  // light that passes, with a sharp and with a soft edge
    vec3 spot = lamp_place.xyz * 0.5 + 0.5;
    float turn = fract(sin(dot(gl_FragCoord.xy, vec2(12.9898, 78.233))) * 43758.5453) * 6.2831853;
    vec2 sum = vec2(0.0);
    float sharp = float(taps) * 0.5;
    for (int i = 0; i < taps; i++) {
        float step = float(i) + 0.5, angle = float(i) * 2.399963 + turn;
        float radius = step < sharp ? narrow * sqrt(step / sharp) : mix(narrow, wide, (step - sharp) / sharp);
        vec2 shift = vec2(cos(angle), sin(angle)) * radius * lamp_texel;
        float free = smoothstep(-bias, 0.0, texture(lamp_depth, spot.xy + shift).r - spot.z + bias);
        sum += vec2(step < sharp ? free : 0.0, free);
    }
    return sum / vec2(sharp, float(taps));
}

float highlight(vec3 n, vec3 v, vec3 l, float roughness, float f0) {
    vec3 h = normalize(v + l);
    float nh = max(dot(n, h), 0.0), nv = max(dot(n, v), 0.05), nl = max(dot(n, l), 0.0), vh = max(dot(v, h), 0.0);
    float a2 = pow(roughness, 4.0), d = nh * nh * (a2 - 1.0) + 1.0;
    float k = (roughness + 1.0) * (roughness + 1.0) / 8.0;
    float g = 1.0 / ((nv * (1.0 - k) + k) * (nl * (1.0 - k) + k));
    return (f0 + (1.0 - f0) * pow(1.0 - vh, 5.0)) * a2 / (PI * d * d) * g * 0.25 * nl * PI;
}

vec3 bumped(vec3 n, float height, float strength) {
    vec3 dx = dFdx(place), dy = dFdy(place);
    vec3 r1 = cross(dy, n), r2 = cross(n, dx);
    float det = dot(dx, r1);
    vec3 slope = sign(det) * (dFdx(height) * r1 + dFdy(height) * r2);
    return normalize(abs(det) * n - strength * slope);
}

vec3 tone(vec3 c) {  // a camera's shoulder: linear in the mid tones, soft towards white
    c = max(c, vec3(0.0));
    c = c * (1.0 + c * 0.16) / (1.0 + c * 0.62);
    return pow(c * 1.32, vec3(1.0 / 2.2));
}

void main() {
    vec4 sampled = texture(colour_map, texel);
    float alpha = material >= BROW ? sampled.a : 1.0;
    if (solid == 1 && alpha < cut) discard;
    if (solid == 0 && (alpha < 0.02)) discard;
    vec3 base = linear(sampled.rgb) * tint;
    vec3 v = normalize(eye - place), n = normalize(facing);
    if (material >= CLOTH && dot(n, v) < 0.0) n = -n;
    float roughness = 0.5, f0 = 0.028, mirror_gain = 1.0;
    vec3 wrap = vec3(0.0), soft = vec3(1.0);
    float shut = air;
    if (material == TOOTH) shut = air * mix(0.3, 0.5, open_mouth) + 0.5 * open_mouth;
    if (material == TONGUE) shut = 0.8 * air + 0.2 * open_mouth;
    if (material == SKIN) {
        n = bumped(n, grey(sampled.rgb), bump);
        wrap = vec3(0.32, 0.14, 0.09); soft = vec3(0.85, 0.95, 1.0);
        roughness = mix(0.46, 0.36, clamp(gloss, 0.0, 1.0));
    } else if (material == EYE) {
        base = mix(base, vec3(grey(base)), 0.15) * 0.85;
        roughness = 0.1; f0 = 0.035; mirror_gain = 0.35; wrap = vec3(0.3, 0.25, 0.22);
    } else if (material == TOOTH) {
        base = mix(base, vec3(grey(base)) * vec3(1.06, 1.0, 0.88), 0.5) * 1.25;
        roughness = 0.28; f0 = 0.04; wrap = vec3(0.25, 0.2, 0.15);
    } else if (material == TONGUE) {
        roughness = 0.35; wrap = vec3(0.4, 0.15, 0.1);
    } else if (material == CLOTH) {
        roughness = 0.8; f0 = 0.02; wrap = vec3(0.1); mirror_gain = 0.3;
    } else {
        roughness = 0.55; f0 = 0.03; wrap = vec3(0.3); mirror_gain = 0.35;
    }

    vec2 passed = lit(lamp_blur, lamp_blur * 2.5, 0.005, material == SKIN ? taps : 4);
    vec3 shade = material == SKIN ? mix(passed.xxx, passed.yyy, vec3(0.8, 0.3, 0.0)) : passed.xxx;
    float towards = dot(n, key_direction);
    vec3 lamp_light = max((towards + wrap) / ((1.0 + wrap) * (1.0 + wrap)), vec3(0.0)) * shade * key_colour;
    bool sheltered = material == EYE || material == TOOTH || material == TONGUE;
    if (sheltered) lamp_light *= smoothstep(0.0, 0.5, shut);
    vec3 hollow = pow(vec3(shut), material == SKIN ? vec3(0.75, 1.0, 1.1) : vec3(1.0));
    vec3 diffuse = base * (sky(n, soft) * hollow + lamp_light);
    float polish = material == SKIN ? gloss : 1.0;
    float rim = pow(1.0 - max(dot(n, v), 0.0), 5.0) * (material == SKIN ? 0.18 : 0.2);
    vec3 shine = mirror(reflect(-v, n), clamp(roughness * 4.0, 0.0, 2.0)) * (f0 + (1.0 - f0) * rim) * mirror_gain * shut * polish;
    float spark = highlight(n, v, key_direction, roughness, f0) * polish * smoothstep(0.0, 0.4, shut);
    if (material == EYE) spark = 2.0 * highlight(n, v, key_direction, 0.13, 0.04);  // the wet film stands clear of the lids' shade
    if (material == SKIN) spark = mix(spark, highlight(n, v, key_direction, 0.6, f0), 0.4);
    if (material == HAIR) {
        vec3 along = normalize(dFdx(place) * dFdy(texel.x) - dFdy(place) * dFdx(texel.x) + vec3(1e-6));
        vec3 h = normalize(v + key_direction);
        float s = sqrt(max(1.0 - pow(dot(along, h), 2.0), 0.0));
        spark = 0.25 * pow(s, 60.0) * grey(base) * 3.0 + 0.015 * pow(s, 20.0);
        spark *= max(towards * 0.7 + 0.3, 0.0);
    }
    result = vec4(tone(diffuse + shine + spark * passed.x * key_colour), alpha);
}
"""
