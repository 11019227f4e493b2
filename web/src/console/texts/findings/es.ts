// What the doctor finds, in Spanish.

import type { Findings } from './findings.ts';

export const findings: Findings = {
  'b-frames': {
    title: {
      by: 'mending',
      forms: {
        here: 'Su vídeo lleva fotogramas B y se recodifica aquí',
        other: 'Su vídeo lleva fotogramas B',
      },
    },
    detail: {
      by: 'mending',
      forms: {
        here: 'Este servidor recodifica su imagen para que el público pueda verla por la vía más rápida, WebRTC, que no admite fotogramas B. Cuesta unos {delay_ms} ms de retraso, algo de calidad y mucho procesador del servidor.',
        busy: 'El público no puede verla por la vía más rápida, WebRTC, que no admite fotogramas B: recibe otra versión, con un segundo o más de retraso. Este servidor no puede recodificarlo: ya recodifica tantas emisiones como puede.',
        fails:
          'El público no puede verla por la vía más rápida, WebRTC, que no admite fotogramas B: recibe otra versión, con un segundo o más de retraso. Este servidor no puede recodificarlo: su recodificador falla.',
        slow: 'El público no puede verla por la vía más rápida, WebRTC, que no admite fotogramas B: recibe otra versión, con un segundo o más de retraso. Este servidor no puede recodificarlo: es demasiado lento para ello.',
        other:
          'El público no puede verla por la vía más rápida, WebRTC, que no admite fotogramas B: recibe otra versión, con un segundo o más de retraso.',
      },
    },
    remedy:
      'En OBS: en Ajustes › Salida ponga el modo de salida en Avanzado y los fotogramas B en 0; el codificador x264 no lo muestra: ponga ahí el ajuste (Tune) en zerolatency. Después detenga la transmisión e iníciela de nuevo. En ffmpeg: -bf 0.',
  },
  'keyframes-far': {
    title: 'Sus fotogramas clave llegan solo cada {seconds} segundos',
    detail:
      'Quien entra o retrocede espera más por la primera imagen, y si un trozo de la imagen se pierde por el camino, queda dañada hasta ese mismo tiempo.',
    remedy:
      'En OBS: en Ajustes › Salida ponga el modo de salida en Avanzado y el intervalo de fotogramas clave en 2 s. Después detenga la transmisión e iníciela de nuevo. En ffmpeg, a 30 fotogramas por segundo: -g 60.',
  },
  'keyframes-irregular': {
    title:
      'Sus fotogramas clave llegan de forma irregular, cada {shortest_seconds} a {longest_seconds} segundos',
    detail:
      'Cada fotograma clave de más es un golpe de datos que entrecorta la imagen en las conexiones lentas. Quien la ve por HTTP puede ver tarde los comentarios.',
    remedy:
      'En OBS: en Ajustes › Salida ponga el modo de salida en Avanzado y el intervalo de fotogramas clave en 2 s; con el codificador x264 escriba scenecut=0 en las opciones de x264. Después detenga la transmisión e iníciela de nuevo. En ffmpeg, a 30 fotogramas por segundo: -g 60 -sc_threshold 0.',
  },
  'frame-rate-drop': {
    title: 'Su vídeo ha bajado de {usual_fps} a {fps} fotogramas por segundo',
    detail: 'El público ve la imagen a saltos; lo que usted dice continúa.',
    remedy:
      'Su ordenador tiene demasiado que hacer. Cierre otros programas. En OBS: mire en Ver › Estadísticas; en Ajustes › Vídeo elija una resolución de salida (escalada) menor o 30 FPS, y en Ajustes › Salida un codificador por hardware o, con x264, el preajuste de uso de CPU ultrafast. En ffmpeg: -preset ultrafast o un -s menor.',
  },
  'bitrate-drop': {
    title: 'Su vídeo ha bajado de {usual_kbps} a {kbps} kbit/s',
    detail: 'El público ve la imagen borrosa o a cuadros; la letra pequeña no se puede leer.',
    remedy:
      'Su conexión a internet se ha vuelto demasiado lenta para lo que envía. Use un cable en lugar de la wifi y detenga otras subidas. En OBS: ponga en Ajustes › Salida una tasa de bits que su conexión soporte todo el tiempo. En ffmpeg: valores menores de -b:v y -maxrate.',
  },
  'video-missing': {
    title: 'No hay imagen, solo sonido',
    detail: 'El público le oye y no ve nada.',
    remedy:
      'Si quería enviar imagen: en OBS, mire si la vista previa muestra alguna, y después detenga la transmisión e iníciela de nuevo. En ffmpeg: dele una entrada de vídeo, y no ponga -vn.',
  },
  'video-stopped': {
    title: 'La imagen se ha detenido',
    detail: 'El público le oye y ve una imagen quieta, o el reproductor espera.',
    remedy:
      'En OBS: mire si la vista previa aún se mueve, y después detenga la transmisión e iníciela de nuevo; si vuelve a ocurrir, elija otro codificador de vídeo en Ajustes › Salida. En ffmpeg: lea lo que dice de su entrada de vídeo.',
  },
  'audio-missing': {
    title: 'No hay sonido, solo imagen',
    detail: 'El público le ve y no oye nada.',
    remedy:
      'En OBS: elija su micrófono en Ajustes › Audio como Audio de micro/auxiliar. En ffmpeg: dele una entrada de audio y -c:a aac, y no ponga -an.',
  },
  'audio-stopped': {
    title: 'El sonido se ha cortado',
    detail: 'El público le ve y ya no oye nada, o el reproductor espera.',
    remedy:
      'En OBS: mire si su micrófono sigue enchufado y si su barra se mueve en el mezclador de audio, y después detenga la transmisión e iníciela de nuevo. En ffmpeg: lea lo que dice de su entrada de audio.',
  },
  'nothing-arrives': {
    title: 'No llega nada de su codificador',
    detail: 'La imagen está quieta y no hay sonido.',
    remedy:
      'Compruebe su conexión a internet. En OBS: si el cuadrado de la parte inferior de la ventana está en rojo, detenga la transmisión e iníciela de nuevo. En ffmpeg: mire si aún cuenta fotogramas, y arránquelo de nuevo.',
  },
  'audio-silent': {
    title: 'Su sonido está en silencio',
    detail: 'El público no oye nada en absoluto, ni siquiera la sala.',
    remedy:
      'Mire si su micrófono está encendido. En OBS: en el mezclador de audio su barra debe moverse cuando usted habla, y el altavoz de al lado no debe estar en rojo (silenciado); elija el micrófono correcto en Ajustes › Audio. En ffmpeg: compruebe la entrada de audio.',
  },
  'audio-clipping': {
    title: 'Su sonido está demasiado alto y distorsiona',
    detail: 'El público oye chasquidos y una voz áspera.',
    remedy:
      'Baje el micrófono donde entra al ordenador (la ganancia del micrófono o de la mesa, o el volumen en los ajustes del sistema). En OBS: lleve el control del mezclador de audio hacia la izquierda hasta que la barra ya no llegue al rojo cuando habla. En ffmpeg: -af volume=-10dB, si el sonido no viene ya distorsionado.',
  },
  'audio-drift': {
    title: 'El reloj de su sonido se desvía un {percent} %',
    detail:
      'El público oye una y otra vez pequeños huecos o cortes en el sonido, y a ratos la voz no va con los labios.',
    remedy:
      'Ponga la misma frecuencia de muestreo en todas partes, mejor 48 kHz: en los ajustes del micrófono en el sistema y, en OBS, en Ajustes › Audio; después detenga la transmisión e iníciela de nuevo. En ffmpeg: -af aresample=async=1000, y ningún filtro que cambie solo los tiempos del sonido.',
  },
  'av-apart': {
    title: {
      by: 'late',
      forms: {
        sound: 'Su sonido llega {seconds} s tarde',
        picture: 'Su imagen llega {seconds} s tarde',
        other: 'Su sonido y su imagen llegan con {seconds} s de diferencia',
      },
    },
    detail:
      'El reproductor espera, así que el público va ese tiempo más por detrás de usted, o la voz no va con los labios.',
    remedy:
      'En OBS: ponga la compensación de sincronía en 0 en Editar › Propiedades de audio avanzadas, y la misma frecuencia de muestreo, mejor 48 kHz, en el micrófono y en Ajustes › Audio; después detenga la transmisión e iníciela de nuevo. En ffmpeg: sin -itsoffset, y con -thread_queue_size 512 antes de cada entrada en directo.',
  },
  'clock-jump': {
    title: {
      by: 'jumps',
      forms: {
        one: 'El reloj de su codificador ha dado un salto',
        other: 'El reloj de su codificador ha dado {jumps} saltos',
      },
    },
    detail:
      'El público ha visto la imagen parada un momento o algo cortado, y quizá desde entonces la voz no vaya con los labios.',
    remedy:
      'En OBS: detenga la transmisión e iníciela de nuevo; si vuelve a ocurrir, cierre OBS y ábralo otra vez. En ffmpeg: codifique lo que reenvía (no -c copy) si es un archivo que vuelve a empezar o una emisión ajena, o ponga -fflags +genpts antes de la entrada.',
  },
  'arrival-jitter': {
    title: 'Su emisión llega a ráfagas, hasta {seconds} s tarde',
    detail:
      'El público ve que la imagen se para y luego se apresura; para protegerse, los reproductores se alejan más del directo.',
    remedy:
      'Use un cable en lugar de la wifi y detenga otras subidas. En OBS: ponga una tasa de bits menor en Ajustes › Salida y active en Ajustes › Avanzado el cambio dinámico de la tasa de bits ante la congestión. En ffmpeg: -maxrate igual a -b:v, y un -bufsize de la mitad.',
  },
  'encoder-slow': {
    title: 'Su emisión se retrasa cada vez más',
    detail: 'El público le ve cada vez más tarde, y de vez en cuando la imagen da un salto.',
    remedy:
      'Su ordenador o su conexión a internet es demasiado lento para lo que envía. En OBS: mire en Ver › Estadísticas. Si se pierden fotogramas al codificar, elija en Ajustes › Salida un codificador por hardware o, con x264, el preajuste de uso de CPU ultrafast; si se pierden en la red, ponga ahí una tasa de bits menor y use un cable en lugar de la wifi. En ffmpeg: -preset ultrafast, o un -s y un -b:v menores, hasta que diga speed=1x.',
  },
  'encoder-fast': {
    title: 'Su emisión va más deprisa que el tiempo',
    detail:
      'El público ve la imagen a saltos, y la conexión se cierra cuando va demasiado adelantada.',
    remedy:
      'En OBS: detenga la transmisión e iníciela de nuevo; si vuelve a ocurrir, ponga la misma frecuencia de muestreo, mejor 48 kHz, en el micrófono y en Ajustes › Audio. En ffmpeg: ponga -re antes de la entrada si es un archivo.',
  },
  'video-profile': {
    title: 'El perfil H.264 de su vídeo, {profile}, no se puede reproducir en todas partes',
    detail:
      'La mayoría le oye y no ve nada: navegadores y teléfonos reproducen solo los perfiles Baseline, Main y High.',
    remedy:
      'En OBS: en Ajustes › Salida ponga el modo de salida en Avanzado y el perfil en high; y en Ajustes › Avanzado el formato de color en NV12. Después detenga la transmisión e iníciela de nuevo. En ffmpeg: -pix_fmt yuv420p -profile:v high.',
  },
  'video-interlaced': {
    title: 'Su vídeo está entrelazado',
    detail:
      'Algunos ven peines en los bordes de lo que se mueve, otros ninguna imagen: navegadores y teléfonos están hechos para imágenes enteras.',
    remedy:
      'Ponga la cámara o la capturadora en un formato progresivo, como 1080p en lugar de 1080i. En OBS: clic derecho en la fuente, Desentrelazado › Yadif. En ffmpeg: -vf yadif, y nada de -flags +ilme+ildct. En un codificador por hardware: póngalo en progresivo.',
  },
  'video-beyond-phones': {
    title: {
      by: 'width',
      forms: {
        none: 'Su vídeo, a {fps} fotogramas por segundo, va más rápido de lo que los teléfonos pueden reproducir',
        other:
          'Su imagen, de {width}x{height}, es más grande de lo que los teléfonos pueden reproducir',
      },
    },
    detail:
      'Los teléfonos y los ordenadores antiguos pueden ir a saltos, calentarse o no mostrar imagen.',
    remedy:
      'En OBS: en Ajustes › Vídeo ponga la resolución de salida (escalada) en 1920x1080 o menos, y los FPS en 30 o 60. En ffmpeg: -s 1920x1080 -r 30.',
  },
  'audio-he-aac': {
    title: 'Su sonido está codificado como {profile}',
    detail:
      'Por WebRTC se oye apagado, como a través de una pared, porque por ahí solo llega su mitad grave.',
    remedy:
      'Ponga el audio del codificador en AAC-LC, a menudo llamado solo AAC, a 96 kbit/s o más. En OBS: en Ajustes › Salida ponga el modo de salida en Avanzado y, en la pestaña Audio, una tasa de bits de 128 o más. En ffmpeg: -c:a aac -b:a 128k, sin -profile:a.',
  },
  'audio-surround': {
    title: 'Su sonido tiene {channels} canales, que no se pueden transmitir',
    detail: 'El público le ve y no oye nada.',
    remedy:
      'En OBS: en Ajustes › Audio ponga los canales en Estéreo. Después detenga la transmisión e iníciela de nuevo. En ffmpeg: -ac 2.',
  },
  'video-refused': {
    title: {
      by: 'codec',
      forms: {
        'H.264': 'Su vídeo H.264 no se puede usar tal como llega',
        other: 'Su codificador envía {codec}, no H.264',
      },
    },
    detail: 'El público no ve ni oye nada: la emisión no se ha aceptado.',
    remedy:
      'En OBS: en Ajustes › Salida ponga el modo de salida en Avanzado y elija un codificador de vídeo que lleve H.264 en el nombre, o x264. En ffmpeg: -c:v libx264.',
  },
  'audio-refused': {
    title: 'Su codificador no envía el sonido en AAC-LC ({codec})',
    detail: 'El público no ve ni oye nada: la emisión no se ha aceptado.',
    remedy:
      'En OBS: en Ajustes › Salida ponga el modo de salida en Avanzado y el codificador de audio en AAC. En ffmpeg: -c:a aac -ac 2.',
  },
  'encoder-refused': {
    title: 'Su codificador envía de una forma que aquí no se entiende',
    detail: 'El público no ve ni oye nada: la emisión no se ha aceptado.',
    remedy:
      'Elija RTMP sencillo con H.264 y AAC, una imagen y un sonido. En OBS: en Ajustes › Emisión elija el servicio «Personalizado» y desactive el vídeo multipista, y en Ajustes › Salida elija una sola pista de audio. En ffmpeg: -f flv, y con -map un flujo de vídeo y uno de audio.',
  },
};
