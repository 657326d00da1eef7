"""The two shader programs' text (GLSL 3.30). One fragment shader, with a material for each kind of surface."""

SKIN, CAP, EYE, PLAIN, STRAND = range(5)
"""Materials, as the uniform `material` numbers them."""

VERTEX = """#version 330
in vec3 in_position; in vec3 in_normal; in vec3 in_colour; in vec3 in_place; in vec2 in_mask;
uniform mat4 projection;
out vec3 position, normal, colour, place; out vec2 mask;
void main() {
    gl_Position = projection * vec4(in_position, 1.0);
    position = in_position; normal = in_normal; colour = in_colour; place = in_place; mask = in_mask;
}"""

FRAGMENT = """#version 330
in vec3 position, normal, colour, place; in vec2 mask;
uniform int material;
uniform vec3 camera, key_direction, key_colour, sky, ground, hair_colour, iris, gaze, shirt;
uniform float wrap, gloss, age, marks, seed, upper_lid;
out vec4 pixel;

float hash(vec3 p) { return fract(sin(dot(p, vec3(127.1, 311.7, 74.7))) * 43758.5453); }
float noise(vec3 p) {
    vec3 i = floor(p), f = fract(p); f = f * f * (3.0 - 2.0 * f);
    return mix(mix(mix(hash(i), hash(i + vec3(1,0,0)), f.x), mix(hash(i + vec3(0,1,0)), hash(i + vec3(1,1,0)), f.x), f.y),
               mix(mix(hash(i + vec3(0,0,1)), hash(i + vec3(1,0,1)), f.x), mix(hash(i + vec3(0,1,1)), hash(i + vec3(1,1,1)), f.x), f.y), f.z);
}
vec3 ambient(vec3 n) { return mix(ground, sky, n.y * 0.5 + 0.5); }
float lambert(vec3 n, vec3 l, float w) { return max(0.0, (dot(n, l) + w) / (1.0 + w)); }
vec3 show(vec3 c) {
    c = c * (1.0 + c * 0.12) / (1.0 + c * 0.35);
    return pow(clamp(c * 1.08, 0.0, 1.0), vec3(1.0 / 2.2));
}
void main() {
    vec3 view = normalize(camera - position), light = normalize(key_direction), n = normalize(normal);
    if (material != 4 && dot(n, view) < 0.0) n = -n;
    float open = mask.y;
    vec3 c = colour, shine = vec3(0.0);
    if (material == 0) {
        float collar = 5.93 - 0.10 * cos(place.x * 2.2) - 0.18 * smoothstep(0.2, 1.0, place.z);
        if (place.y < collar) {
            c = shirt * (0.92 + 0.16 * noise(place * 30.0));
            if (place.y > collar - 0.10) c *= 0.75;
            vec3 lit = c * (ambient(n) * 0.9 + key_colour * lambert(n, light, 0.15));
            pixel = vec4(show(lit), 1.0); return;
        }
        vec3 p = place + seed;
        float blotch = noise(p * 5.0) - 0.5, pores = noise(p * 34.0) - 0.5;
        c *= 1.0 + vec3(0.05, 0.13, 0.12) * blotch + 0.07 * pores;
        float mole = smoothstep(0.87 - 0.05 * marks, 0.93, noise(p * 6.5 + 40.0)) * step(0.0, marks);
        c *= 1.0 - 0.45 * mole * min(marks, 1.0) * vec3(0.7, 1.0, 1.0);
        float lines = smoothstep(7.62, 7.74, place.y) * (1.0 - smoothstep(8.0, 8.1, place.y)) * smoothstep(0.9, 1.3, place.z);
        float crease = sin((place.y + 0.02 * noise(p * 4.0) + 0.03 * cos(place.x * 3.0)) * 62.0) * lines * age;
        n = normalize(n + vec3(0.0, 0.30 * crease, 0.0) + 0.10 * (0.4 + age) * vec3(pores, noise(p * 31.0) - 0.5, 0.0));
        float under = age * smoothstep(0.16, 0.02, length((place.xy - vec2(sign(place.x) * 0.33, 7.11)) * vec2(0.7, 1.5)));
        c *= 1.0 - 0.22 * under;
        float w = wrap;
        vec3 diffuse = vec3(lambert(n, light, w + 0.12), lambert(n, light, w * 0.7), lambert(n, light, w * 0.55));
        float grazing = pow(1.0 - max(dot(n, view), 0.0), 4.0);
        shine = key_colour * (pow(max(dot(n, normalize(light + view)), 0.0), 22.0) * gloss * max(dot(n, light), 0.0))
              + ambient(reflect(-view, n)) * grazing * 0.10;
        vec3 occluded = mix(vec3(open * open * 0.9, open * open * open * 0.75, open * open * open * 0.7), vec3(1.0), open);
        c = c * (ambient(n) * occluded + key_colour * diffuse * mix(open, 1.0, 0.35)) + shine * open;
    } else if (material == 1) {
        float around = atan(place.x, place.z - 0.3);
        float streak = noise(vec3(around * 42.0, place.y * 2.5, 3.0)) * 0.6 + noise(vec3(around * 110.0, place.y * 5.0, 9.0)) * 0.4;
        if (mask.x < 0.10 + 0.55 * streak * (1.0 - mask.x)) discard;
        vec3 t = normalize(cross(n, vec3(n.z, 0.0, -n.x) + 0.001));
        float tl = dot(t, light), tv = dot(t, view);
        float kajiya = sqrt(max(0.0, 1.0 - tl * tl)) * smoothstep(-0.25, 0.4, dot(n, light));
        float spec = pow(max(0.0, sqrt(max(0.0, 1.0 - tl * tl)) * sqrt(max(0.0, 1.0 - tv * tv)) - tl * tv), 38.0);
        vec3 h = hair_colour * (0.45 + 1.1 * streak);
        c = h * (ambient(n) * (0.55 + 0.45 * mask.x) + key_colour * kajiya * 0.8)
          + key_colour * spec * (0.05 + 0.25 * hair_colour) * streak * smoothstep(-0.1, 0.5, dot(n, light));
    } else if (material == 2) {
        float angle = acos(clamp(dot(normalize(place), gaze), -1.0, 1.0));
        vec3 white = vec3(0.60, 0.57, 0.54) - vec3(0.10, 0.19, 0.19) * smoothstep(0.6, 1.25, angle);
        float fibre = noise(vec3(atan(place.y, place.x) * 9.0, angle * 14.0, 1.0));
        vec3 ring = iris * (0.7 + 0.9 * fibre) * (1.0 - 0.65 * smoothstep(0.40, 0.52, angle));
        c = mix(ring, white, smoothstep(0.49, 0.56, angle));
        c *= smoothstep(0.17, 0.22, angle) * 0.97 + 0.03;
        float shade = mix(1.0, 0.45, smoothstep(0.10, 0.34, place.y)) * upper_lid;
        c *= (ambient(n) + key_colour * lambert(n, light, 0.3)) * shade;
        c += key_colour * pow(max(dot(n, normalize(light + view)), 0.0), 220.0) * 1.3;
    } else if (material == 3) {
        c = c * (ambient(n) + key_colour * lambert(n, light, 0.2)) * open
          + key_colour * pow(max(dot(n, normalize(light + view)), 0.0), 50.0) * gloss;
    } else {
        vec3 t = normalize(normal);
        float tl = dot(t, light);
        c = c * (ambient(vec3(0.0, 0.3, 1.0)) + key_colour * sqrt(max(0.0, 1.0 - tl * tl)) * 0.7);
    }
    pixel = vec4(show(c), 1.0);
}"""
