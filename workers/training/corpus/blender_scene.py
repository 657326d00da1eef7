"""Run by Blender's own interpreter, never imported by ours: reads heads as arrays and path-traces each with Cycles.

    python blender_scene.py FOLDER

Speaks JSON, a line each: says {"blender": version}, then answers every {"scene": file.npz, "image": file.npy} with
{"image": file} once that is written. Whatever goes wrong ends it, and its log says why. When its input ends, as it does
when whoever started it dies, it removes FOLDER and is gone, even out of the middle of a picture.

What is in a scene: see workers.training.corpus.exchange. An image is float32 [H, W, 4]: linear light over nothing,
multiplied by alpha, and alpha; its first row is the highest.
"""

import json
import os
import queue
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import bpy
import numpy as np

SKIN_DEPTH = 0.013
"""How far red light gets under the skin, decimetres."""

FINER = 2
"""Pixels traced along a pixel's side: the denoiser blurs what is small, so it gets a larger picture."""

Scene = dict[str, Any]
Arrays = dict[str, Any]


def main(folder: Path) -> None:
    """Render what is asked for until there is nobody left to ask."""
    # Blender reports on standard output, so answers go through a copy of it and its reports to the log.
    answers = os.dup(1)
    os.dup2(2, 1)
    asked: queue.Queue[str] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            asked.put(line)
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)

    def say(**words: str) -> None:
        os.write(answers, json.dumps(words).encode() + b"\n")

    say(blender=bpy.app.version_string)
    threading.Thread(target=listen, daemon=True).start()
    while True:
        request = json.loads(asked.get())
        with np.load(request["scene"], allow_pickle=False) as file:
            scene = dict(file)
        np.save(request["image"], render(scene, folder))
        say(image=request["image"])


def render(scene: Scene, folder: Path) -> Any:
    """Trace one scene, from an empty file, so that no head leaves anything to the next."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    for number in range(int(scene["pieces"])):
        piece = {key.partition(".")[2]: value for key, value in scene.items() if key.startswith(f"{number}.")}
        make = add_hair if "sizes" in piece else add_mesh
        make(piece)
    add_camera(scene)
    add_light(scene)
    settings = bpy.context.scene
    settings.render.engine = "CYCLES"
    settings.cycles.device = "CPU"
    settings.cycles.samples = int(scene["samples"])
    settings.cycles.seed = int(scene["seed"])
    settings.cycles.use_adaptive_sampling = False
    settings.cycles.use_denoising = True
    settings.cycles.denoiser = "OPENIMAGEDENOISE"
    settings.cycles.denoising_prefilter = "NONE"
    settings.cycles.max_bounces = 8
    settings.cycles.diffuse_bounces = 3
    settings.cycles.caustics_reflective = settings.cycles.caustics_refractive = False
    settings.cycles.sample_clamp_indirect = 4.0
    settings.cycles_curves.shape = "RIBBONS"
    settings.render.threads_mode = "FIXED"  # processes, not threads, are what fills the cores
    settings.render.threads = 1
    settings.render.film_transparent = True
    width, height = int(scene["width"]), int(scene["height"])
    settings.render.resolution_x, settings.render.resolution_y = FINER * width, FINER * height
    settings.render.resolution_percentage = 100
    settings.render.image_settings.file_format = "OPEN_EXR"
    settings.render.image_settings.color_mode = "RGBA"
    settings.render.image_settings.color_depth = "32"
    path = folder / "render.exr"
    settings.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(path))
    pixels = np.empty((height, FINER, width, FINER, 4), np.float32)
    image.pixels.foreach_get(pixels.reshape(-1))
    path.unlink()
    return pixels.mean((1, 3))[::-1]


def add_camera(scene: Scene) -> None:
    """A camera that looks along -z, as in workers.generator.parametric.placement."""
    camera = bpy.data.cameras.new("camera")
    camera.sensor_fit = "HORIZONTAL"
    camera.lens = camera.sensor_width * float(scene["lens"])
    camera.clip_start, camera.clip_end = 1.0, 100.0
    thing = link("camera", camera)
    thing.location = scene["camera"].tolist()
    bpy.context.scene.camera = thing


def add_light(scene: Scene) -> None:
    """A wide sun as the key light, and a sky that shades into the ground."""
    from mathutils import Vector

    sun = bpy.data.lights.new("key", "SUN")
    strength = float(scene["key"].max())
    sun.energy = np.pi * strength  # so that white paper facing it has a radiance of `strength`
    sun.color = (scene["key"] / strength).tolist()
    sun.angle = float(scene["key_angle"])
    thing = link("key", sun)
    thing.rotation_euler = Vector(scene["key_direction"].tolist()).to_track_quat("Z", "Y").to_euler()

    world = bpy.data.worlds.new("world")
    bpy.context.scene.world = world
    world.use_nodes = True
    nodes = Nodes(world.node_tree)
    height = nodes.add("ShaderNodeSeparateXYZ", Vector=nodes.add("ShaderNodeTexCoord")["Generated"])["Y"]
    share = nodes.add("ShaderNodeMapRange", {}, Value=height, **{"From Min": -1.0, "From Max": 1.0})["Result"]
    colour = nodes.mix(share, scene["nadir"], scene["zenith"])
    # What mirrors in eyes, hair and skin is a room, darker than the light that fills it.
    mirrored = nodes.add("ShaderNodeLightPath")["Is Glossy Ray"]
    strength_seen = nodes.math("SUBTRACT", 1.0, nodes.math("MULTIPLY", mirrored, 0.75))
    background = nodes.add("ShaderNodeBackground", Color=colour, Strength=strength_seen)["Background"]
    nodes.add("ShaderNodeOutputWorld", Surface=background)


def add_mesh(piece: Arrays) -> None:
    """A surface with a colour, and whatever else its material asks for, at every vertex."""
    points, triangles = piece["position"], piece["triangles"]
    mesh = bpy.data.meshes.new("piece")
    mesh.vertices.add(len(points))
    mesh.vertices.foreach_set("co", points.ravel())
    mesh.loops.add(triangles.size)
    mesh.loops.foreach_set("vertex_index", triangles.ravel())
    mesh.polygons.add(len(triangles))
    mesh.polygons.foreach_set("loop_start", np.arange(0, triangles.size, 3, dtype=np.int32))
    mesh.update(calc_edges=True)
    set_attributes(mesh, piece, "POINT")
    mesh.polygons.foreach_set("use_smooth", np.ones(len(triangles), bool))
    mesh.normals_split_custom_set_from_vertices(piece["normal"].tolist())
    mesh.materials.append(MATERIALS[str(piece["material"])](piece))
    link("piece", mesh)


def add_hair(piece: Arrays) -> None:
    """Strands as curves with a thickness."""
    hair = bpy.data.hair_curves.new("hair")
    hair.add_curves(piece["sizes"].tolist())
    hair.attributes["position"].data.foreach_set("vector", piece["position"].ravel())
    radius = hair.attributes.get("radius") or hair.attributes.new("radius", "FLOAT", "POINT")
    radius.data.foreach_set("value", piece["radius"])
    set_attributes(hair, piece, "CURVE")
    hair.materials.append(MATERIALS[str(piece["material"])](piece))
    link("hair", hair)


def set_attributes(data: Any, piece: Arrays, domain: str) -> None:
    """Give a mesh or curves the values that materials read by name."""
    if "colour" in piece:
        colour = np.concatenate([piece["colour"], np.ones((len(piece["colour"]), 1), np.float32)], 1)
        data.attributes.new("colour", "FLOAT_COLOR", domain).data.foreach_set("color", colour.ravel())
    if "place" in piece:
        data.attributes.new("place", "FLOAT_VECTOR", domain).data.foreach_set("vector", piece["place"].ravel())
    if "level" in piece:
        data.attributes.new("level", "FLOAT", domain).data.foreach_set("value", piece["level"])


def link(name: str, data: Any) -> Any:
    """Put something into the picture."""
    thing = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(thing)
    return thing


class Nodes:
    """Shader nodes, written as calls: what a node's inputs are given is a value, or another node's output."""

    def __init__(self, tree: Any) -> None:
        self._tree = tree
        tree.nodes.clear()

    def add(self, kind: str, settings: Arrays | None = None, **inputs: Any) -> Any:
        """Add a node; returns its outputs."""
        node = self._tree.nodes.new(kind)
        for name, value in (settings or {}).items():
            setattr(node, name, value)
        for name, value in inputs.items():
            self.give(node.inputs[name], value)
        return node.outputs

    def give(self, socket: Any, value: Any) -> None:
        """Set a socket to a value, or join it to an output."""
        if isinstance(value, bpy.types.NodeSocket):
            self._tree.links.new(value, socket)
        elif np.ndim(value):
            socket.default_value = [*np.asarray(value, float).tolist(), 1.0][: len(socket.default_value)]
        else:
            socket.default_value = value

    def attribute(self, name: str, output: str) -> Any:
        """What stands at the vertices under a name."""
        return self.add("ShaderNodeAttribute", {"attribute_name": name})[output]

    def mix(self, share: Any, first: Any, second: Any, blend: str = "MIX") -> Any:
        """A colour between two, or the first changed by the second."""
        node = self._tree.nodes.new("ShaderNodeMix")
        node.data_type, node.blend_type = "RGBA", blend
        # Sockets of all its types have the same names.
        for place, value in ((0, share), (6, first), (7, second)):
            self.give(node.inputs[place], value)
        return node.outputs[2]

    def math(self, operation: str, first: Any, second: Any) -> Any:
        """Arithmetic on two numbers."""
        node = self._tree.nodes.new("ShaderNodeMath")
        node.operation = operation
        self.give(node.inputs[0], first)
        self.give(node.inputs[1], second)
        return node.outputs[0]

    def noise(self, place: Any, scale: float, detail: float = 2.0) -> Any:
        """Smooth noise over a place, 0 to 1."""
        return self.add("ShaderNodeTexNoise", Vector=place, Scale=scale, Detail=detail)[0]


def material() -> tuple[Any, Nodes]:
    """An empty material, and its nodes."""
    made = bpy.data.materials.new("material")
    made.use_nodes = True
    return made, Nodes(made.node_tree)


def skin(piece: Arrays) -> Any:
    """Skin that light goes under, with pores; cloth where `level` is below 0."""
    made, nodes = material()
    place, level = nodes.attribute("place", "Vector"), nodes.attribute("level", "Fac")
    cloth = nodes.math("LESS_THAN", level, 0.0)
    hem = nodes.math("MULTIPLY", cloth, nodes.math("GREATER_THAN", level, -0.10))
    shirt = nodes.mix(hem, piece["shirt"], 0.75 * piece["shirt"])
    # A bright shirt would dye the chin; cameras' white balance and collars in the shade prevent that.
    seen = nodes.add("ShaderNodeLightPath")["Is Camera Ray"]
    shirt = nodes.mix(seen, 0.35 * piece["shirt"].mean() + 0.1 * piece["shirt"], shirt)
    # Pores are in the colour too: the denoiser keeps what it sees there.
    grain = nodes.math("MULTIPLY", 0.5, nodes.math("ADD", nodes.noise(place, 46.0), nodes.noise(place, 120.0)))
    naked_colour = nodes.mix(grain, (0.82, 0.75, 0.74), (1.26, 1.23, 1.22))
    naked_colour = nodes.mix(1.0, nodes.attribute("colour", "Color"), naked_colour, "MULTIPLY")
    colour = nodes.mix(cloth, naked_colour, shirt)
    naked = nodes.math("SUBTRACT", 1.0, cloth)
    bump = nodes.add("ShaderNodeBump", Strength=float(piece["bump"]), Distance=0.018, Height=grain)["Normal"]
    blotched = nodes.math("MULTIPLY", nodes.math("SUBTRACT", nodes.noise(place, 24.0), 0.5), 0.25)
    rough = nodes.math("ADD", float(piece["rough"]), blotched)
    shader = nodes.add(
        "ShaderNodeBsdfPrincipled",
        {"subsurface_method": "RANDOM_WALK"},
        Normal=bump,
        Roughness=nodes.math("MAXIMUM", rough, nodes.math("MULTIPLY", cloth, 0.85)),
        **{
            "Base Color": colour,
            "Subsurface Weight": naked,
            "Subsurface Radius": (1.0, 0.36, 0.2),
            "Subsurface Scale": SKIN_DEPTH,
            "Specular IOR Level": nodes.math("ADD", 0.1, nodes.math("MULTIPLY", naked, 0.35)),
        },
    )["BSDF"]
    nodes.add("ShaderNodeOutputMaterial", Surface=shader)
    return made


def coated(piece: Arrays) -> Any:
    """Anything of a plain colour with a clear coat: eyes, teeth, frames."""
    made, nodes = material()
    shader = nodes.add(
        "ShaderNodeBsdfPrincipled",
        Roughness=0.5,
        **{
            "Base Color": nodes.attribute("colour", "Color"),
            "Specular IOR Level": 0.2,
            "Coat Weight": float(piece["coat"]),
            "Coat IOR": float(piece["coat_ior"]),
            "Coat Roughness": float(piece["rough"]),
        },
    )["BSDF"]
    nodes.add("ShaderNodeOutputMaterial", Surface=shader)
    return made


def cap(_piece: Arrays) -> Any:
    """What shows between hairs; nothing where `level` is below 0."""
    made, nodes = material()
    matt = nodes.add("ShaderNodeBsdfDiffuse", Color=nodes.attribute("colour", "Color"))["BSDF"]
    there = nodes.math("GREATER_THAN", nodes.attribute("level", "Fac"), 0.0)
    clear = nodes.add("ShaderNodeBsdfTransparent")["BSDF"]
    mixed = nodes.add("ShaderNodeMixShader", Fac=there)["Shader"]
    nodes.give(mixed.node.inputs[1], clear)  # both sockets have one name
    nodes.give(mixed.node.inputs[2], matt)
    nodes.add("ShaderNodeOutputMaterial", Surface=mixed)
    return made


def hair(piece: Arrays) -> Any:
    """Hair by its own scattering model."""
    made, nodes = material()
    shader = nodes.add(
        "ShaderNodeBsdfHairPrincipled",
        {"parametrization": "COLOR", "model": "CHIANG"},
        Color=nodes.attribute("colour", "Color"),
        Roughness=float(piece["rough"]),
        **{"Radial Roughness": 0.4, "Random Roughness": 0.0, "Coat": 0.0, "IOR": 1.25},
    )["BSDF"]
    nodes.add("ShaderNodeOutputMaterial", Surface=shader)
    return made


MATERIALS = {"skin": skin, "coated": coated, "cap": cap, "hair": hair}

if __name__ == "__main__":
    main(Path(sys.argv[1]))
